"""The one exception that users see without a traceback."""

import sys


class UserError(Exception):
    """Something the user can put right; the message says what and how."""


def run_script(main):
    """Call main() and turn a UserError into one line and exit code 2.

    Otherwise main's return value is the exit code, None for 0.
    """
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    if status:
        sys.exit(status)
