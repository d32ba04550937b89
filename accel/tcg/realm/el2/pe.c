/*
 * A host at EL2: PEs (see pe.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pe.h"

Rmm *el2_rmm;
El2Pe *el2_pes;
