# The overlay tool, in small modules; the program is upstream/overlay.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
from pathlib import Path

# The packages of buildenv/ are at the top of the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
