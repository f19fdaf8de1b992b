"""`python -m v2t_lib.cli`, the same as `v2t`."""

import sys

from v2t_lib.cli.main import main

sys.exit(main())
