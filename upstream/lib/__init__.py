# The overlay tool, in small modules; the program is upstream/overlay.
#
# SPDX-License-Identifier: GPL-2.0-or-later
