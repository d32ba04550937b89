/*
 * The bare host: interrupts and timers (see host.h)
 *
 * Interrupts are never taken as exceptions: PSTATE masks them at EL2, WFI ends
 * when one is pending, and gic_take() acknowledges it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"

#define GICD_CTLR       0x0
#define GICD_CTLR_ARE   (3u << 4)
#define GICD_CTLR_GRPS  3u
#define GICD_CTLR_RWP   (1u << 31)
#define GICR_WAKER      0x14
#define GICR_SGI        0x10000
#define IGROUPR0        0x80
#define ISENABLER0      0x100
#define ICENABLER0      0x180
#define ISPENDR0        0x200
#define IPRIORITYR      0x400

static volatile uint32_t *reg(uint64_t address)
{
    return (volatile uint32_t *)address;
}

static uint64_t redistributor(void)
{
    return GICR + cpu_index() * GICR_SIZE;
}

void gic_init(void)
{
    *reg(GICD + GICD_CTLR) = GICD_CTLR_ARE | GICD_CTLR_GRPS;
    while (*reg(GICD + GICD_CTLR) & GICD_CTLR_RWP) {
    }
}

/* SGIs and PPIs: group 1, in the middle of the Non-secure priorities. */
void gic_init_cpu(void)
{
    uint64_t gicr = redistributor();

    *reg(gicr + GICR_WAKER) = 0;
    while (*reg(gicr + GICR_WAKER) & 1 << 2) {
    }
    *reg(gicr + GICR_SGI + IGROUPR0) = ~0u;
    *reg(gicr + GICR_SGI + ICENABLER0) = ~0u;
    for (unsigned n = 0; n < 32; n += 4) {
        *reg(gicr + GICR_SGI + IPRIORITYR + n) = 0xa0a0a0a0;
    }
    WRITE(ICC_SRE_EL2, 0xf);
    WRITE(ICC_SRE, 7);
    WRITE(ICC_PMR, 0xf0);
    WRITE(ICC_CTLR, 0);
    WRITE(ICC_IGRPEN1, 1);
}

void gic_enable(unsigned intid)
{
    *reg(redistributor() + GICR_SGI + ISENABLER0) = 1u << intid;
}

void gic_disable(unsigned intid)
{
    *reg(redistributor() + GICR_SGI + ICENABLER0) = 1u << intid;
}

bool gic_pending(unsigned intid)
{
    return *reg(redistributor() + GICR_SGI + ISPENDR0) & 1u << intid;
}

void gic_send_sgi(unsigned intid, unsigned cpu)
{
    WRITE(ICC_SGI1R, (uint64_t)intid << 24 | 1u << cpu);
}

unsigned gic_take(void)
{
    unsigned intid = READ(ICC_IAR1) & 0xffffff;

    if (intid < 1020) {
        WRITE(ICC_EOIR1, intid);
    }
    return intid;
}

unsigned gic_list_registers(void)
{
    return (READ(ICH_VTR) & 31) + 1;
}

/* ---- Timers ---- */

uint64_t ticks(void)
{
    asm volatile("isb" : : : "memory");
    return READ(cntpct_el0);
}

uint64_t ticks_of_ms(unsigned ms)
{
    return READ(cntfrq_el0) / 1000 * ms;
}

void delay_ms(unsigned ms)
{
    uint64_t end = ticks() + ticks_of_ms(ms);

    while (ticks() < end) {
    }
}

void alarm_set(unsigned ms)
{
    WRITE(cnthp_cval_el2, ticks() + ticks_of_ms(ms));
    WRITE(cnthp_ctl_el2, 1);
    gic_enable(PPI_HYP_TIMER);
}

bool alarm_rang(void)
{
    return (READ(cnthp_ctl_el2) & 5) == 5;
}

void alarm_off(void)
{
    WRITE(cnthp_ctl_el2, 0);
}
