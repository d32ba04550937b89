/* arm64's KVM ABI, on any host. SPDX-License-Identifier: GPL-2.0-or-later */
#include "asm-arm64/kvm.h"
