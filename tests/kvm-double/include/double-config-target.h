/* The target's, with KVM. SPDX-License-Identifier: GPL-2.0-or-later */
#include "aarch64-softmmu-config-target.h"
#ifndef CONFIG_KVM
#define CONFIG_KVM 1
#endif
