/*
 * The machine that rmi-replay runs the model on (see replay-machine.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "check-tables.h"
#include "replay-machine.h"
#include "test-keys.h"
#include "rmm-abi.h"

#define SPSR_EL1H_DAIF   0x3c5
#define VECTOR_EL1H_SYNC 0x200

uint8_t *machine_memory(Machine *m, uint64_t pa, size_t len)
{
    uint64_t offset = pa - MACHINE_BASE;
    uint64_t size = (uint64_t)MACHINE_GRANULES * RMM_GRANULE_SIZE;

    return offset < size && len <= size - offset ? m->pool + offset : NULL;
}

static void *op_granule(void *opaque, uint64_t pa)
{
    return machine_memory(opaque, pa, RMM_GRANULE_SIZE);
}

static void *op_ns(void *opaque, uint64_t pa, size_t len)
{
    uint64_t first = (pa - MACHINE_BASE) / RMM_GRANULE_SIZE;
    uint64_t last = (pa + len - 1 - MACHINE_BASE) / RMM_GRANULE_SIZE;
    uint8_t *p = machine_memory(opaque, pa, len);
    Machine *m = opaque;

    return p && !m->realm_pas[first] && !m->realm_pas[last] ? p : NULL;
}

/* The PE here keeps no translations. */
static void op_tlb(void *opaque, uint16_t vmid, uint64_t base, uint64_t top)
{
}

static void op_random(void *opaque, void *buf, size_t len)
{
    memset(buf, 0x5a, len);
}

static size_t op_context_save(void *opaque, uint64_t mpidr,
                              void *buf, size_t size)
{
    return 0;
}

static bool op_context_load(void *opaque, uint64_t mpidr,
                            const void *buf, size_t size)
{
    return false;
}

static bool op_interrupt_pending(void *opaque)
{
    Machine *m = opaque;

    return m->irq_pending;
}

static const RmmOps machine_ops = {
    .granule = op_granule, .ns = op_ns, .tlb_invalidate = op_tlb,
    .random = op_random, .key = test_key,
    .interrupt_pending = op_interrupt_pending,
    .context_save = op_context_save, .context_load = op_context_load,
};

/* What most profiles share; each then changes what it is named for. */
static RmmPlatform base_platform(void)
{
    return (RmmPlatform) {
        .ipa_bits = 48, .num_bps = 1, .num_wps = 1, .sha512 = true,
        .pmu = true, .pmu_num_ctrs = 31, .lpa2 = true, .num_aux = 16,
        .gic_prio_bits = 1, .vmid_bits = 8,
    };
}

static bool platform_of(const char *profile, RmmPlatform *p)
{
    *p = base_platform();
    if (!strcmp(profile, "nolpa2")) {
        p->lpa2 = false;
    } else if (!strcmp(profile, "pa52")) {
        p->ipa_bits = 52;
    } else if (!strcmp(profile, "pa40")) {
        p->ipa_bits = 40;
    } else if (!strcmp(profile, "dbg")) {
        p->num_bps = 5;
        p->num_wps = 3;
    } else if (!strcmp(profile, "hpmn0")) {
        p->pmu_hpmn0 = true;
    } else if (!strcmp(profile, "pmu6")) {
        p->pmu_num_ctrs = 6;
    } else if (!strcmp(profile, "sve256")) {
        p->sve = true;
        p->sve_vl = 1;
    } else if (!strcmp(profile, "vmid16")) {
        p->vmid_bits = 16;
    } else if (!strcmp(profile, "lrs2")) {
        p->num_lrs = 1;
        p->gic_prio_bits = 5;
    } else {
        return !strcmp(profile, "base");
    }
    return true;
}

Machine *machine_new(const char *profile)
{
    RmmPlatform platform;
    Machine *m;

    if (!platform_of(profile, &platform)) {
        return NULL;
    }
    m = g_new0(Machine, 1);
    m->pool = g_malloc0((size_t)MACHINE_GRANULES * RMM_GRANULE_SIZE);
    m->rmm = rmm_new(&machine_ops, m, &platform);
    return m;
}

void machine_free(Machine *m)
{
    if (m->pe.world == RMM_WORLD_REALM) {
        take_interrupt(m->rmm, &m->pe);
    }
    check_tables(m->rmm);
    rmm_free(m->rmm);
    g_free(m->pool);
    g_free(m);
}

uint8_t *machine_realm_memory(Machine *m, uint64_t rec, uint64_t ipa,
                              bool write)
{
    RmmTranslation page;
    RmmStage2 s2;

    if (!rmm_stage2(m->rmm, rec, &s2) ||
        rmm_stage2_walk(m->rmm, &s2, ipa,
                        write ? RMM_ACCESS_WRITE : RMM_ACCESS_READ, &page)
        != RMM_FAULT_NONE) {
        return NULL;
    }
    return machine_memory(m, page.pa, RMM_GRANULE_SIZE);
}

/* What EL3 does in the granule protection table for these two calls. */
static void move_granule(Machine *m, uint64_t fid, uint64_t pa)
{
    uint64_t i = (pa - MACHINE_BASE) / RMM_GRANULE_SIZE;

    if (m->pe.x[0] == RMI_SUCCESS && i < MACHINE_GRANULES &&
        (fid == RMI_GRANULE_DELEGATE || fid == RMI_GRANULE_UNDELEGATE)) {
        m->realm_pas[i] = fid == RMI_GRANULE_DELEGATE;
    }
}

/* Take the exception that the RMM left for EL1, with the MMU off. */
static void take_exception(Machine *m)
{
    if (!m->pe.inject.pending) {
        return;
    }
    m->esr_el1 = m->pe.inject.esr;
    if (m->pe.inject.abort) {
        m->far_el1 = m->pe.inject.far;
    }
    m->elr_el1 = m->pe.pc;
    m->spsr_el1 = SPSR_EL1H_DAIF;
    m->pe.pc = m->vbar_el1 + VECTOR_EL1H_SYNC;
    m->pe.inject.pending = false;
}

void machine_smc(Machine *m)
{
    bool host = m->pe.world == RMM_WORLD_HOST;
    uint64_t fid = m->pe.x[0], pa = m->pe.x[1];

    if (!host) {
        m->pe.pc += 4;                  /* behind the SMC */
    }
    rmm_call(m->rmm, &m->pe);
    if (host) {
        move_granule(m, fid & ~(uint64_t)SMCCC_SVE_HINT, pa);
    }
    take_exception(m);
}

void machine_exception(Machine *m, const RmmSyndrome *syndrome)
{
    rmm_exception(m->rmm, &m->pe, syndrome);
    take_exception(m);
}
