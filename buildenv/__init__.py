# What a build needs and this machine lacks: Debian packages of any suite and
# architecture, unpacked in private. The program is buildenv/get.
#
# The overlay tool (upstream/) imports this folder; nothing here imports it.
#
# SPDX-License-Identifier: GPL-2.0-or-later
