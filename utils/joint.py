"""Flags of joint training, and which method a combination of them is.

Like `utils.cli`, whose parts they are, they are declared without Keras.
"""

import functools

from utils.errors import UserError
from utils.flags import Number, add_flag, boolean

SA_MTL = ("confidence", "density", "distribution")  # the weights it multiplies
WEIGHTS = SA_MTL
MANIFOLD_TERMS = ("lnorm", "trace_norm", "nuclear_norm")
MANIFOLD = {
    "sfsmr": ("lnorm", "trace_norm"),
    "slrm": MANIFOLD_TERMS,
    "lnorm": ("lnorm",),
    "trace-norm": ("trace_norm",),
    "nuclear-norm": ("nuclear_norm",),
}
CHOICES = (
    "--is_naive, --is_distilled, or --is_pseudo with any of "
    "--is_interpolation, --is_pseudo_confidence, --is_pseudo_density, "
    "--is_pseudo_distribution"
)
JOINT_CHOICES = (
    "--is_naive (All-in-one), --is_distilled, --is_pseudo with any of "
    "--is_pseudo_confidence, --is_pseudo_density, --is_pseudo_distribution and "
    "perhaps --is_interpolation (SA-MTL), --is_pseudo with --is_interpolation "
    "and --interpolation_weights above 0, --is_pseudo without any weight "
    "(LEL-LTN), or the same with --is_MRF (DCN-AP)"
)
MANIFOLD_CHOICES = (
    "--is_naive with --is_lnorm and --is_trace_norm (SFSMR), with "
    "--is_nuclear_norm too (SLRM), or with one of the three as an ablation"
)


def add_joint_flags(parser):
    """DCN-AP and LEL-LTN, and their settings."""
    group = parser.add_argument_group(
        "joint training",
        "Naive is All-in-one. Pseudo labels without any weight are LEL-LTN's,\n"
        "with --is_MRF they are DCN-AP's.",
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
    text = "first epochs in which LEL-LTN leaves missing labels out"
    flag("ltn_warmup", Number(int, 0), 2, text)


def add_manifold_flags(parser):
    """The regularisers of SFSMR and SLRM."""
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


def choose(args):
    """Settle what the manifold flags leave open: terms, and naive triples."""
    if "is_lnorm" not in args:
        return
    if args.is_naive is None:
        args.is_naive = not (args.is_distilled or args.is_pseudo)
    flags = [f"is_{name}" for name in MANIFOLD_TERMS]
    others = not any(getattr(args, flag) for flag in flags)
    for flag in flags:
        if getattr(args, flag) is None:
            setattr(args, flag, others)


def choices(args):
    """The methods of the script that `args` is of, for error messages."""
    if "is_lnorm" in args:
        return MANIFOLD_CHOICES
    return JOINT_CHOICES if "is_MRF" in args else CHOICES


def check(args):
    """Refuse what is a method of other scripts only, or of none.

    Raises:
        UserError: it names the methods that there are.
    """
    chosen = _true(args, "naive", "distilled", "pseudo", "interpolation")
    weights = _true(args, *map("pseudo_{}".format, WEIGHTS))
    if "is_lnorm" in args:
        terms = _true(args, *MANIFOLD_TERMS)
        is_method = args.is_naive and method_name(args)
        given = [*chosen, *weights, *terms]
    elif "is_MRF" in args:
        refined = _true(args, "MRF")
        others = weights or args.is_interpolation
        is_constant = args.is_interpolation and args.interpolation_weights > 0
        is_method = not (refined and (not args.is_pseudo or others)) and (
            not args.is_interpolation or weights or is_constant
        )
        given = [*chosen, *weights, *refined]
    else:
        return
    if not is_method:
        raise UserError(
            f"{' with '.join(given)} is no method; choose {choices(args)}"
        )


def method_name(args):
    """The name of a method that only joint training has, else None.

    all-in-one, lel-ltn, dcn-ap, sfsmr, slrm, and single manifold terms.
    """
    if "is_lnorm" in args:
        terms = tuple(t for t in MANIFOLD_TERMS if getattr(args, f"is_{t}"))
        names = {terms: name for name, terms in MANIFOLD.items()}
        return names.get(terms)
    if "is_MRF" not in args:
        return None
    if args.is_naive:
        return "all-in-one"
    if args.is_MRF:
        return "dcn-ap"
    weights = _true(args, *map("pseudo_{}".format, WEIGHTS))
    is_plain = args.is_pseudo and not args.is_interpolation
    return "lel-ltn" if is_plain and not weights else None


def _true(args, *names):
    """The flags among --is_<name> that are true, as they are written."""
    return [f"--is_{name}" for name in names if getattr(args, f"is_{name}")]
