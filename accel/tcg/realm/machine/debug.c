/*
 * Realms under TCG: what debuggers see of a CPU that runs a Realm
 *
 * Purpose: the monitor, gdb and dumps ask a CPU's class for translations and
 * registers.  Of one that runs a Realm they are told that there are none, and
 * zeros.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/qemu-print.h"
#include "gdbstub/commands.h"
#include "debug.h"

/* What the CPU class had before, and when it is not asked. */
static struct {
    bool (*hides)(CPUState *cs);
    hwaddr (*get_phys_page_attrs_debug)(CPUState *cs, vaddr addr,
                                        MemTxAttrs *attrs);
    int (*gdb_read_register)(CPUState *cs, GByteArray *buf, int reg);
    int (*gdb_write_register)(CPUState *cs, uint8_t *buf, int reg);
    void (*dump_state)(CPUState *cs, FILE *f, int flags);
} arm;

static hwaddr get_phys_page_attrs_debug(CPUState *cs, vaddr addr,
                                        MemTxAttrs *attrs)
{
    return arm.hides(cs) ? -1 : arm.get_phys_page_attrs_debug(cs, addr, attrs);
}

static int gdb_read(CPUState *cs, GByteArray *buf, int reg)
{
    guint before = buf->len;
    int size = arm.gdb_read_register(cs, buf, reg);

    if (arm.hides(cs)) {
        memset(buf->data + before, 0, buf->len - before);
    }
    return size;
}

static int gdb_write(CPUState *cs, uint8_t *buf, int reg)
{
    return arm.hides(cs) ? 0 : arm.gdb_write_register(cs, buf, reg);
}

static void dump_state(CPUState *cs, FILE *f, int flags)
{
    if (arm.hides(cs)) {
        qemu_fprintf(f, "CPU#%d: the registers of a Realm are not available\n",
                     cs->cpu_index);
    } else {
        arm.dump_state(cs, f, flags);
    }
}

/*
 * Arm's answers about memory tags look through the translations of a vCPU.
 * QEMU takes the first entry of a name, and these come before Arm's.
 */
static void refuse_tags(GArray *params, void *opaque)
{
    gdb_put_packet("E04");
}

static void hide_tags_from_gdb(void)
{
    static const GdbCmdParseEntry names[] = {
        { .handler = refuse_tags, .cmd = "MemTags:", .cmd_startswith = true },
        { .handler = refuse_tags, .cmd = "IsAddressTagged:",
          .cmd_startswith = true },
    };
    g_autoptr(GPtrArray) table = g_ptr_array_new();

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        g_ptr_array_add(table, (gpointer)&names[i]);
    }
    gdb_extend_query_table(table);
    gdb_extend_set_table(table);
}

void realm_debug_class_init(CPUClass *cc, struct SysemuCPUOps *ops,
                            bool (*hides)(CPUState *cs))
{
    arm.hides = hides;
    arm.get_phys_page_attrs_debug = ops->get_phys_page_attrs_debug;
    ops->get_phys_page_attrs_debug = get_phys_page_attrs_debug;
    arm.gdb_read_register = cc->gdb_read_register;
    cc->gdb_read_register = gdb_read;
    arm.gdb_write_register = cc->gdb_write_register;
    cc->gdb_write_register = gdb_write;
    arm.dump_state = cc->dump_state;
    cc->dump_state = dump_state;
    hide_tags_from_gdb();
}
