"""Which flags together are a method, and what they leave open.

Keras is not imported here, so that --help answers at once.
"""

from samtl.cli.methods import (
    MANIFOLD_TERMS,
    SA_MTL,
    WEIGHTS,
    Arguments,
    Family,
    joint_name,
    true_flags,
)
from samtl.common.errors import UserError

METHOD_FLAGS = (
    *("is_naive", "is_distilled", "is_pseudo", "is_interpolation"),
    *("is_MRF", "is_matching", "teacher"),
)
_CHOICES = (
    "--is_naive, --is_distilled, or --is_pseudo with any of "
    "--is_interpolation, --is_pseudo_confidence, --is_pseudo_density, "
    "--is_pseudo_distribution, or --consistency"
)
CHOICES = {  # for error messages
    Family.SINGLE: _CHOICES,
    Family.ALTERNATING: _CHOICES,
    Family.JOINT: (
        "--is_naive (All-in-one), --is_distilled, --is_pseudo with any of "
        "--is_pseudo_confidence, --is_pseudo_density, "
        "--is_pseudo_distribution and perhaps --is_interpolation (SA-MTL), "
        "--is_pseudo with --is_interpolation and --interpolation_weights "
        "above 0, --is_pseudo without any weight (LEL-LTN), or the same with "
        "--is_MRF (DCN-AP), or --is_matching (distribution matching)"
    ),
    Family.MANIFOLD: (
        "--is_naive with --is_lnorm and --is_trace_norm (SFSMR), with "
        "--is_nuclear_norm too (SLRM), or with one of the three as an ablation"
    ),
}


def choose(args: Arguments) -> None:
    """Settle what a command line leaves open, and refuse what is not a method.

    Raises:
        UserError: it names the methods that there are, or the flag at fault.
    """
    if args.consistency:
        _choose_consistency(args)
        return
    for name in ("consistency_momentum", "consistency_t"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} needs --consistency")
    if getattr(args, "is_matching", False):
        _choose_alone(args, "--is_matching")
        return
    if args.family == Family.MANIFOLD:
        _choose_terms(args)
    if args.family == Family.SINGLE and args.is_naive is None:
        others = ("is_distilled", "is_pseudo", "is_interpolation")
        weights = [f"is_pseudo_{name}" for name in WEIGHTS]
        args.is_naive = not any(getattr(args, n) for n in (*others, *weights))
    _choose_method(args)
    _check_method(args)


def _choose_consistency(args):
    """Settle the flags of --consistency."""
    _choose_alone(args, f"--consistency={args.consistency}")
    if not args.is_augmentation:
        raise UserError(
            f"--consistency={args.consistency} learns a clean image's label on "
            "the augmented image; add --is_augmentation=True"
        )
    is_averaged = args.consistency == "mean-teacher"
    if args.consistency_momentum is None:
        args.consistency_momentum = 0.99 if is_averaged else 0.0
    if args.consistency_t is None:
        args.consistency_t = 1.0 if is_averaged else 0.0


def _choose_alone(args, flag):
    """Settle the flags of a method that takes no other method's flag."""
    names = [*METHOD_FLAGS, *(f"is_pseudo_{name}" for name in WEIGHTS)]
    others = [
        f"--{name}"
        for name in names
        if getattr(args, name, False) and flag != f"--{name}"
    ]
    if args.family == Family.MANIFOLD:
        others = ["the manifold regularisers"]
    if others:
        raise UserError(f"{flag} is a method by itself; take {others[0]} back")
    args.is_naive = args.is_distilled = args.is_pseudo = False
    for name in WEIGHTS:
        setattr(args, f"is_pseudo_{name}", False)


def _choose_terms(args):
    """Settle what the manifold flags leave open: terms, and naive triples."""
    if args.is_naive is None:
        args.is_naive = not (args.is_distilled or args.is_pseudo)
    flags = [f"is_{name}" for name in MANIFOLD_TERMS]
    others = not any(getattr(args, flag) for flag in flags)
    for flag in flags:
        if getattr(args, flag) is None:
            setattr(args, flag, others)


def _choose_method(args):
    """Replace None, an open choice, by True or False."""
    if args.is_pseudo is None:
        args.is_pseudo = not (args.is_naive or args.is_distilled)
    args.is_naive = bool(args.is_naive)
    args.is_distilled = bool(args.is_distilled)
    weights = [f"is_pseudo_{name}" for name in WEIGHTS]
    defaults = [f"is_pseudo_{name}" for name in SA_MTL]
    # A weight that is asked for stands alone; one that is refused leaves the
    # others, so that --is_pseudo_density=False is an ablation.
    alone = args.is_pseudo and not (
        args.is_naive or args.is_distilled or getattr(args, "is_MRF", False)
    )
    others = alone and not any(getattr(args, name) for name in weights)
    for name in weights:
        if getattr(args, name) is None:
            setattr(args, name, others and name in defaults)


def _check_method(args):
    methods = ("is_naive", "is_distilled", "is_pseudo")
    weights = [f"is_pseudo_{name}" for name in WEIGHTS]
    chosen = [name for name in methods if getattr(args, name)]
    extras = [
        name
        for name in ("is_interpolation", *weights)
        if getattr(args, name) and not args.is_pseudo
    ]
    if len(chosen) != 1 or extras:
        given = " with ".join(f"--{name}" for name in chosen + extras)
        raise UserError(
            f"{given or 'nothing chosen'} is not a method; choose "
            f"{CHOICES[args.family]}"
        )
    _check_joint(args)
    if args.interpolation_weights and not args.is_interpolation:
        raise UserError(
            f"--interpolation_weights={args.interpolation_weights} needs "
            "--is_interpolation=True"
        )
    if args.is_pseudo_density and args.density_t == 0:
        raise UserError("--density_t=0 has no neighbours; give above 0 to 1")
    if args.is_pseudo_distribution and args.cluster_k == 0:
        raise UserError("--cluster_k=0 has no mixture; give at least 1")


def _check_joint(args):
    """Refuse what is a method of other scripts only, or of none."""
    chosen = true_flags(args, "naive", "distilled", "pseudo", "interpolation")
    weights = true_flags(args, *map("pseudo_{}".format, WEIGHTS))
    if args.family == Family.MANIFOLD:
        terms = true_flags(args, *MANIFOLD_TERMS)
        is_method = args.is_naive and joint_name(args)
        given = [*chosen, *weights, *terms]
    elif args.family == Family.JOINT:
        refined = true_flags(args, "MRF")
        others = weights or args.is_interpolation
        is_constant = args.is_interpolation and args.interpolation_weights > 0
        is_method = not (refined and (not args.is_pseudo or others)) and (
            not args.is_interpolation or weights or is_constant
        )
        given = [*chosen, *weights, *refined]
        if args.teacher and not args.is_distilled:
            raise UserError("--teacher needs --is_distilled=True")
        if args.teacher_share and not args.teacher:
            raise UserError(
                f"--teacher_share={args.teacher_share} needs a --teacher"
            )
    else:
        return
    if not is_method:
        raise UserError(
            f"{' with '.join(given)} is not a method; choose "
            f"{CHOICES[args.family]}"
        )
