"""`python -m v2t_lib`, the same as `v2t`, where that isn't on the PATH."""

import sys

from v2t_lib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
