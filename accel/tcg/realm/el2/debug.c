/*
 * A host at EL2: what debuggers, the monitor and dumps see
 *
 * Purpose: the host is debugged as any guest.  While a CPU runs a REC, its
 * registers and translations are the Realm's, and it has none for whoever asks
 * from outside; neither does it stop at an address, which would tell where the
 * Realm is.  It can be stopped and stepped, as a host may.
 *
 * A Realm's memory is not in what is shown of the board's (memory.c).
 *
 * Invariants: a breakpoint of gdb's is as gdb made it while its CPU is in the
 * host's world, and has no effect in the Realm world.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "elf.h"
#include "exec/breakpoint.h"
#include "hw/core/sysemu-cpu-ops.h"
#include "system/accel-ops.h"
#include "system/runstate.h"
#include "accel/tcg/realm/machine/debug.h"
#include "debug.h"
#include "pe.h"

/* ---- gdb's breakpoints ---- */

/* Flags of one without effect; there are fewer than this many. */
#define PARKED_SHIFT 16

static const AccelOpsClass *tcg_ops_before;

static int park_flags(int flags, bool park)
{
    if (park) {
        return flags & BP_GDB ? flags << PARKED_SHIFT : flags;
    }
    return flags >> PARKED_SHIFT ? flags >> PARKED_SHIFT : flags;
}

static void park(CPUState *cs, bool park)
{
    CPUBreakpoint *bp;
    CPUWatchpoint *wp;

    QTAILQ_FOREACH(bp, &cs->breakpoints, entry) {
        bp->flags = park_flags(bp->flags, park);
    }
    QTAILQ_FOREACH(wp, &cs->watchpoints, entry) {
        wp->flags = park_flags(wp->flags, park);
    }
}

void el2_debug_enter(CPUState *cs)
{
    park(cs, true);
}

void el2_debug_leave(CPUState *cs)
{
    park(cs, false);
}

/* gdb is about to look at all breakpoints, or has changed them. */
static void park_all(bool parked)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (el2_in_realm(cs)) {
            park(cs, parked);
        }
    }
}

static int insert_breakpoint(CPUState *cs, int type, vaddr addr, vaddr len)
{
    int ret;

    park_all(false);
    ret = tcg_ops_before->insert_breakpoint(cs, type, addr, len);
    park_all(true);
    return ret;
}

static int remove_breakpoint(CPUState *cs, int type, vaddr addr, vaddr len)
{
    int ret;

    park_all(false);
    ret = tcg_ops_before->remove_breakpoint(cs, type, addr, len);
    park_all(true);
    return ret;
}

static void remove_all_breakpoints(CPUState *cs)
{
    park_all(false);
    tcg_ops_before->remove_all_breakpoints(cs);
    park_all(true);
}

static void wrap_breakpoints(void)
{
    static AccelOpsClass before;
    AccelOpsClass *ops = ACCEL_OPS_CLASS(
        object_class_by_name(ACCEL_OPS_NAME("tcg")));

    before = *ops;
    tcg_ops_before = &before;
    ops->insert_breakpoint = insert_breakpoint;
    ops->remove_breakpoint = remove_breakpoint;
    ops->remove_all_breakpoints = remove_all_breakpoints;
}

/* ---- gdb's registers ---- */

/*
 * FP, SVE and system registers are read by functions in a table of the CPU.  The
 * first entry is the core's, which are read in another way.
 */
typedef struct GdbRegisters {
    GArray *all, *core;
} GdbRegisters;

static GdbRegisters *gdb_registers;     /* indexed by cpu_index */

void el2_debug_realize(CPUState *cs)
{
    GdbRegisters *r;

    gdb_registers = g_renew(GdbRegisters, gdb_registers, cs->cpu_index + 1);
    r = &gdb_registers[cs->cpu_index];
    r->all = cs->gdb_regs;
    r->core = g_array_new(false, false, g_array_get_element_size(r->all));
    g_array_append_vals(r->core, r->all->data, 1);
}

/* gdb asks when the machine has stopped. */
static void vm_state_changed(void *opaque, bool running, RunState state)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        const GdbRegisters *r = &gdb_registers[cs->cpu_index];

        cs->gdb_regs = el2_in_realm(cs) ? r->core : r->all;
    }
}

/* The debugger's "continue at". */
static void (*arm_set_pc)(CPUState *cs, vaddr value);

static void set_pc(CPUState *cs, vaddr value)
{
    if (!el2_in_realm(cs)) {
        arm_set_pc(cs, value);
    }
}

/* ---- Dumps ---- */

#define NOTE_HEADER (sizeof(Elf64_Nhdr) + 8)    /* and a name: CORE, LINUX */

static int (*arm_write_note)(WriteCoreDumpFunction f, CPUState *cs, int cpuid,
                             DumpState *s);
static WriteCoreDumpFunction dump_write;

static int write_empty_note(const void *buf, size_t size, void *opaque)
{
    g_autofree uint8_t *note = g_memdup2(buf, size);

    if (size > NOTE_HEADER) {
        memset(note + NOTE_HEADER, 0, size - NOTE_HEADER);
    }
    return dump_write(note, size, opaque);
}

static int write_note(WriteCoreDumpFunction f, CPUState *cs, int cpuid,
                      DumpState *s)
{
    if (el2_in_realm(cs)) {
        dump_write = f;
        f = write_empty_note;
    }
    return arm_write_note(f, cs, cpuid, s);
}

void el2_debug_class_init(CPUClass *cc)
{
    static struct SysemuCPUOps ops;

    ops = *cc->sysemu_ops;
    cc->sysemu_ops = &ops;
    realm_debug_class_init(cc, &ops, el2_in_realm);
    arm_write_note = ops.write_elf64_note;
    ops.write_elf64_note = write_note;
    arm_set_pc = cc->set_pc;
    cc->set_pc = set_pc;
    wrap_breakpoints();
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
}
