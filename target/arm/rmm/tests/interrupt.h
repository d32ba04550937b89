/*
 * The exception that tests have most often
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "rmm.h"

/* A physical interrupt ends the run of the REC that @pe has. */
static inline void take_interrupt(Rmm *rmm, RmmPe *pe)
{
    const RmmSyndrome irq = { .kind = RMM_EXCEPTION_IRQ };

    rmm_exception(rmm, pe, &irq);
}

#endif
