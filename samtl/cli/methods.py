"""Which method a command line is: its flags, their combinations, its name.

Keras is not imported here, so that --help answers at once.
"""

import argparse
import functools
from enum import StrEnum

from samtl.common.flags import (
    Number,
    Parser,
    add_flag,
    boolean,
    pseudo_loss_weight,
)

SA_MTL = ("confidence", "density", "distribution")  # the weights it multiplies
WEIGHTS = SA_MTL
TASK_WEIGHTINGS = ("equal", "uncertainty", "dynamic", "random", "geometric")
CONSISTENCY = ("fixmatch", "softmatch", "mean-teacher")
MANIFOLD_TERMS = ("lnorm", "trace_norm", "nuclear_norm")
MANIFOLD = {
    "sfsmr": ("lnorm", "trace_norm"),
    "slrm": MANIFOLD_TERMS,
    "lnorm": ("lnorm",),
    "trace-norm": ("trace_norm",),
    "nuclear-norm": ("nuclear_norm",),
}


class Family(StrEnum):
    """What kind of training a script does; each has methods of its own."""

    SINGLE = "single"
    ALTERNATING = "alternating"
    JOINT = "joint"
    MANIFOLD = "manifold"


class Arguments(argparse.Namespace):
    """Values of flags. The script's family is not a flag, and not in vars()."""

    __slots__ = ("family",)

    def __init__(self, family: "Family | None" = None, **values):
        super().__init__(**values)
        self.family = family


def add_method_flags(
    parser: Parser,
    text: str = "One of naive, distilled and pseudo (the default). Pseudo may\n"
    "also be written pesudo, as in published commands.",
) -> None:
    """How the labels that a dataset lacks are filled in; `text` is the help."""
    parser.family = Family.ALTERNATING
    group = parser.add_argument_group("method", text)
    flag = functools.partial(add_flag, group)
    flag("is_naive", boolean, None, "mask missing labels")
    flag("is_distilled", boolean, None, "keep to the teacher's predictions")
    text = "temperature of the teacher's predictions"
    flag("distill_t", Number(float, 1), 2.0, text)
    text = (
        "the teacher's pseudo labels (default: True unless naive or "
        "distilled is chosen)"
    )
    flag("is_pseudo", boolean, None, text)
    text = (
        "blend pseudo label and teacher's prediction by the weight, instead "
        "of choosing one of them"
    )
    flag("is_interpolation", boolean, False, text)
    text = "constant share of the pseudo label in the blend; 0: its weight"
    flag("interpolation_weights", Number(float, 0, 1), 0.0, text)
    text = "quantile of the weights above which pseudo labels are selected"
    flag("selection_threshold", Number(float, 0, 1), 0.8, text)
    text = "take that quantile over all pseudo labels, or class by class"
    flag("selection_scope", ("all", "class"), "all", text)
    for name in WEIGHTS:
        text = f"weight pseudo labels by {name}"
        if name in SA_MTL:
            text += (
                " (default: True with pseudo labels unless another weight is "
                "chosen)"
            )
        flag(f"is_pseudo_{name}", boolean, None, text)
    text = "quantile of the distances that bounds a neighbourhood"
    flag("density_t", Number(float, 0, 1), 0.6, text)
    text = (
        "most images of a pseudo label that are all compared; of more, the "
        "density is estimated from 10,000 random ones, and the error bound "
        "printed"
    )
    flag("density_exact_limit", Number(int, 0), 100_000, text)
    text = "components of the Gaussian mixtures"
    flag("cluster_k", Number(int, 0), 3, text)
    text = "how mixtures are compared"
    flag("distribution_metric", ("both", "emd", "mmd"), "both", text)
    text = "sharpness of the distribution weight"
    flag("gamma", Number(float, 0, above=True), 1.0, text)
    text = "fit mixtures for each class or for all classes together"
    flag("gmm_scope", ("class", "all"), "class", text)
    _add_consistency_flags(parser)


def _add_consistency_flags(parser):
    """Labels of every step, and how much filled-in labels count."""
    group = parser.add_argument_group("missing labels in the loss")
    flag = functools.partial(add_flag, group)
    text = (
        "label the clean image in every step and learn that on the augmented "
        "one: by the network's sure labels (fixmatch), by weighted ones "
        "(softmatch), or by the predictions of an averaged network "
        "(mean-teacher)"
    )
    flag("consistency", CONSISTENCY, None, text)
    text = "least confidence that --consistency=fixmatch learns from"
    flag("consistency_threshold", Number(float, 0, 1), 0.95, text)
    text = (
        "momentum per step of the moving average that labels; 0: the network "
        "itself (default: 0.99 with mean-teacher, else 0)"
    )
    flag("consistency_momentum", Number(float, 0, 0.99999), None, text)
    text = (
        "temperature of those labels; 0: one-hot (default: 1 with "
        "mean-teacher, else 0)"
    )
    flag("consistency_t", Number(float, 0), None, text)
    text = (
        "weight of the mean loss over filled-in labels, apart from that over "
        "true ones, for all tasks or for one as in emotion:0.1 (default: one "
        "mean over both, as in the paper)"
    )
    flag("pseudo_loss_weights", pseudo_loss_weight, None, text, many=True)
    text = "first rounds that mask missing labels, whatever the method"
    flag("pseudo_warmup", Number(int, 0), 0, text)


def add_single_task_method_flags(parser: Parser) -> None:
    """How labels are filled in that the one task lacks; none by default."""
    add_method_flags(
        parser,
        "Naive unless another is chosen: missing labels are masked.",
    )
    parser.family = Family.SINGLE


def add_joint_flags(parser: Parser) -> None:
    """DCN-AP and LEL-LTN, and their settings."""
    parser.family = Family.JOINT
    group = parser.add_argument_group(
        "joint training",
        "Naive is All-in-one. Pseudo labels without any weight are LEL-LTN's,\n"
        "with --is_MRF they are DCN-AP's. --is_matching is a method by itself.",
    )
    flag = functools.partial(add_flag, group)
    text = "refine pseudo labels by mean field on a graph of alike faces"
    flag("is_MRF", boolean, False, text)
    text = "nearest neighbours of a face in DCN-AP's graph"
    flag("mrf_neighbours", Number(int, 1, 1000), 10, text)
    text = "pull of alike faces towards the same label, in DCN-AP"
    flag("mrf_pairwise", Number(float, 0), 1.0, text)
    text = "pull of a face's labels towards those that go together, in DCN-AP"
    flag("mrf_cooccurrence", Number(float, 0), 1.0, text)
    text = (
        "couple tasks by distribution matching with soft co-annotation "
        "(Kollias et al. 2024)"
    )
    flag("is_matching", boolean, False, text)
    text = "weight of the matching loss of each two tasks"
    flag("matching_weight", Number(float, 0), 1.0, text)
    text = (
        "trained networks, best.onnx or best.keras of other runs, whose mean "
        "prediction --is_distilled keeps to instead of the network's own"
    )
    flag("teacher", str, None, text, many=True)
    text = "share of the --teacher's prediction in the targets of true labels"
    flag("teacher_share", Number(float, 0, 1), 0.0, text)
    text = (
        "how the tasks' losses become one: their sum, or by learned "
        "uncertainties, by dynamic or random weights, or their geometric mean"
    )
    flag("task_weighting", TASK_WEIGHTINGS, "equal", text)
    text = "first epochs in which LEL-LTN masks missing labels"
    flag("ltn_warmup", Number(int, 0), 2, text)


def add_manifold_flags(parser: Parser) -> None:
    """The regularisers of SFSMR and SLRM."""
    parser.family = Family.MANIFOLD
    group = parser.add_argument_group(
        "manifold regularisers",
        "SLRM has all three (the default), SFSMR no nuclear norm. One that is\n"
        "asked for leaves the others out.",
    )
    flag = functools.partial(add_flag, group)
    text = "l2,1 norm of the heads' weights: few features for all classes"
    flag("is_lnorm", boolean, None, text)
    text = "alpha, the weight of the l2,1 norm"
    flag("lnorm_weight", Number(float, 0), 1e-4, text)
    text = "smooth predictions over the graph of the batch's images"
    flag("is_trace_norm", boolean, None, text)
    text = "beta, the weight of the smoothness"
    flag("trace_norm_weight", Number(float, 0), 1.0, text)
    text = "nuclear norm of all heads' weights: low rank across tasks"
    flag("is_nuclear_norm", boolean, None, text)
    text = "gamma, the weight of the nuclear norm"
    flag("nuclear_norm_weight", Number(float, 0), 1e-3, text)


def method(args: Arguments):
    """The chosen `pseudo_labels.Method`."""
    # Imported here because it loads Keras, which takes seconds.
    from samtl.pseudo_labels.method import (
        ConsistencyConfig,
        Method,
        RandomField,
        TrainedTeachers,
    )

    kind = _kind(args)
    parameters = {}
    warmup = args.pseudo_warmup
    if args.family == Family.JOINT:
        if kind == "lel-ltn":
            warmup = max(warmup, args.ltn_warmup)
        parameters["random_field"] = RandomField(
            args.mrf_neighbours, args.mrf_pairwise, args.mrf_cooccurrence
        )
        parameters["matching_weight"] = args.matching_weight
        parameters["teachers"] = TrainedTeachers(
            tuple(args.teacher or ()), args.teacher_share
        )
    return Method(
        kind=kind,
        warmup=warmup,
        distill_t=args.distill_t,
        selection_threshold=args.selection_threshold,
        selection_scope=args.selection_scope,
        interpolation_weights=args.interpolation_weights,
        density_t=args.density_t,
        density_exact_limit=args.density_exact_limit,
        cluster_k=args.cluster_k,
        distribution_metric=args.distribution_metric,
        gamma=args.gamma,
        gmm_scope=args.gmm_scope,
        consistency=ConsistencyConfig(
            args.consistency_threshold,
            args.consistency_momentum or 0.0,
            args.consistency_t or 0.0,
        ),
        **{name: getattr(args, f"is_pseudo_{name}") for name in WEIGHTS},
        **parameters,
    )


def regularisers(args: Arguments):
    """The chosen `pseudo_labels.method.Regularisers`."""
    # Imported here because it loads Keras, which takes seconds.
    from samtl.pseudo_labels.method import Regularisers

    return Regularisers(
        **{
            name: getattr(args, f"{name}_weight")
            for name in MANIFOLD_TERMS
            if args.family == Family.MANIFOLD and getattr(args, f"is_{name}")
        }
    )


def method_name(args: Arguments) -> str:
    """The method's name in folders and tables.

    naive, dml-lwf (distilled, T = 1), distilled, sa-mtl-hard and
    sa-mtl-interpolation (all weights), hard-density (some weights), pseudo
    (none), interpolation-constant; joint training has more, see
    `joint_name`.
    """
    name = joint_name(args)
    if name:
        weighting = getattr(args, "task_weighting", "equal")
        return name if weighting == "equal" else f"{name}-{weighting}"
    kind = _kind(args)
    if kind == "naive" or kind in CONSISTENCY:
        return kind
    if kind == "distilled":
        return "dml-lwf" if args.distill_t == 1 else "distilled"
    if args.interpolation_weights > 0:
        return "interpolation-constant"
    chosen = [name for name in WEIGHTS if getattr(args, f"is_pseudo_{name}")]
    if not chosen:
        return "pseudo"
    if chosen == list(SA_MTL):
        return f"sa-mtl-{kind}"
    return "-".join([kind, *chosen])


def _kind(args):
    """Value of the `pseudo_labels.Kind`."""
    if args.family == Family.JOINT:
        name = joint_name(args)
        if name and name != "all-in-one":
            return name
    if args.consistency:
        return args.consistency
    if args.is_naive:
        return "naive"
    if args.is_distilled:
        return "distilled"
    return "interpolation" if args.is_interpolation else "hard"


def joint_name(args):
    """The name of a method that only joint training has, else None.

    all-in-one, lel-ltn, dcn-ap, distribution-matching, teacher-distilled,
    sfsmr, slrm, and single manifold terms.
    """
    if args.family == Family.MANIFOLD:
        terms = tuple(t for t in MANIFOLD_TERMS if getattr(args, f"is_{t}"))
        names = {terms: name for name, terms in MANIFOLD.items()}
        return names.get(terms)
    if args.family != Family.JOINT:
        return None
    if args.is_matching:
        return "distribution-matching"
    if args.is_naive:
        return "all-in-one"
    if args.is_MRF:
        return "dcn-ap"
    if args.teacher:
        return "teacher-distilled"
    weights = true_flags(args, *map("pseudo_{}".format, WEIGHTS))
    is_plain = args.is_pseudo and not args.is_interpolation
    return "lel-ltn" if is_plain and not weights else None


def true_flags(args, *names):
    """The flags among --is_<name> that are true, as they are written."""
    return [f"--is_{name}" for name in names if getattr(args, f"is_{name}")]
