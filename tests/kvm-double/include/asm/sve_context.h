/* arm64's, on any host. SPDX-License-Identifier: GPL-2.0-or-later */
#include "asm-arm64/sve_context.h"
