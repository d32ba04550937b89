/*
 * Realms under TCG: a PE's registers as one blob
 *
 * Purpose: what the RMM seals as the context of a REC.  It is the state of
 * QEMU's CPU object in vmstate form, which a Realm's migration stream does
 * not carry in the open (cpu-class.c takes the CPU's own section away).
 *
 * In front of it are the vector lengths that the PE has, as sve_vq.map has
 * them, big endian: no register says it, and a Realm finds them out but once.
 * The RMM compares the longest only.
 *
 * Invariants: the vCPU does not run; a blob that comes in was authenticated
 * by the RMM.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "io/channel-buffer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "target/arm/cpu.h"
#include "context.h"
#include "pe.h"

#define LENGTHS_BYTES 4

/*
 * QEMU's state of a CPU has the first 1024 bits of each Z register, which may
 * be twice as long.  The rest follows it, behind a zero: vmstate looks whether
 * the next byte begins a subsection.
 */
static bool has_rest(ARMCPU *cpu)
{
    return cpu->sve_vq.map >> (ARM_MAX_VQ / 2);
}

static void put_rest(QEMUFile *file, ARMCPU *cpu)
{
    ARMVectorReg *z = cpu->env.vfp.zregs;

    qemu_put_byte(file, 0);
    for (unsigned i = 0; i < 32 * ARM_MAX_VQ; i++) {
        qemu_put_be64(file, z[i / ARM_MAX_VQ].d[ARM_MAX_VQ + i % ARM_MAX_VQ]);
    }
}

static bool get_rest(QEMUFile *file, ARMCPU *cpu)
{
    ARMVectorReg *z = cpu->env.vfp.zregs;

    qemu_get_byte(file);
    for (unsigned i = 0; i < 32 * ARM_MAX_VQ; i++) {
        z[i / ARM_MAX_VQ].d[ARM_MAX_VQ + i % ARM_MAX_VQ] = qemu_get_be64(file);
    }
    return qemu_file_get_error(file) == 0;
}

static bool put_context(QEMUFile *file, ARMCPU *cpu)
{
    qemu_put_be32(file, cpu->sve_vq.map);
    if (vmstate_save_state(file, &vmstate_arm_cpu, cpu, NULL) != 0) {
        return false;
    }
    if (has_rest(cpu)) {
        put_rest(file, cpu);
    }
    return qemu_fflush(file) == 0;
}

static bool get_context(QEMUFile *file, ARMCPU *cpu)
{
    return vmstate_load_state(file, &vmstate_arm_cpu, cpu,
                              vmstate_arm_cpu.version_id) == 0 &&
           (!has_rest(cpu) || get_rest(file, cpu));
}

size_t realm_context_save(void *opaque, uint64_t mpidr, void *buf, size_t size)
{
    CPUState *cs = realm_pe_by_mpidr(mpidr);
    g_autoptr(QIOChannelBuffer) channel = qio_channel_buffer_new(size);
    QEMUFile *file = qemu_file_new_output(QIO_CHANNEL(channel));
    size_t used = 0;

    if (cs && put_context(file, ARM_CPU(cs)) && channel->usage <= size) {
        used = channel->usage;
        memcpy(buf, channel->data, used);
    }
    explicit_bzero(channel->data, channel->usage);
    qemu_fclose(file);
    return used;
}

bool realm_context_load(void *opaque, uint64_t mpidr, const void *buf,
                        size_t size)
{
    CPUState *cs = realm_pe_by_mpidr(mpidr);
    RealmPe *pe;

    if (!cs || size <= LENGTHS_BYTES ||
        ldl_be_p(buf) != ARM_CPU(cs)->sve_vq.map) {
        return false;
    }
    pe = &realm_pes[cs->cpu_index];
    if (pe->context) {
        return false;
    }
    pe->context_size = size - LENGTHS_BYTES;
    pe->context = g_memdup2((const uint8_t *)buf + LENGTHS_BYTES,
                            pe->context_size);
    return true;
}

/* QEMU's own reset of a CPU leaves none of its registers; and it never runs. */
static void wipe(CPUState *cs, run_on_cpu_data unused)
{
    cpu_reset(cs);
    cs->halted = 1;
}

/*
 * In the vCPU's own thread: `cont` may just have woken that, and until it is
 * asleep again it expects to be halted, which a reset would take back.
 */
void realm_context_wipe(void *opaque, uint64_t mpidr)
{
    CPUState *cs = realm_pe_by_mpidr(mpidr);

    if (cs) {
        async_run_on_cpu(cs, wipe, RUN_ON_CPU_NULL);
    }
}

static bool apply_context(CPUState *cs, const void *context, size_t size)
{
    g_autoptr(QIOChannelBuffer) channel = qio_channel_buffer_new(size);
    QEMUFile *file;
    bool ok;

    memcpy(channel->data, context, size);
    channel->usage = size;
    file = qemu_file_new_input(QIO_CHANNEL(channel));
    ok = get_context(file, ARM_CPU(cs));
    explicit_bzero(channel->data, size);
    qemu_fclose(file);
    return ok;
}

static void drop_context(RealmPe *pe)
{
    if (pe->context) {
        explicit_bzero(pe->context, pe->context_size);
        g_clear_pointer(&pe->context, g_free);
    }
}

void realm_contexts_drop(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        drop_context(&realm_pes[cs->cpu_index]);
    }
}

bool realm_contexts_apply(Error **errp)
{
    CPUState *cs;
    bool ok = true;

    CPU_FOREACH(cs) {
        RealmPe *pe = &realm_pes[cs->cpu_index];

        if (!pe->context) {
            continue;
        }
        ok = ok && apply_context(cs, pe->context, pe->context_size);
        /* Arrived in the open, and the RMM knows of no exception. */
        cs->exception_index = -1;
        drop_context(pe);
    }
    if (!ok) {
        error_setg(errp, "Realm: this machine cannot load the registers of a "
                   "vCPU; use the -cpu of the source");
    }
    return ok;
}
