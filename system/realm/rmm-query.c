/*
 * query-rmm and info rmm
 *
 * Purpose: the commands of qapi/rmm.json, which exist whatever the machine is.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-rmm.h"
#include "qapi/type-helpers.h"
#include "monitor/monitor.h"
#include "qemu/module.h"
#include "system/rmm-query.h"

static RmmInfo *(*the_query)(void);

void rmm_query_init(RmmInfo *(*query)(void))
{
    assert(!the_query);
    the_query = query;
}

RmmInfo *qmp_query_rmm(Error **errp)
{
    if (!the_query) {
        error_setg(errp, "this machine has no RMM; start it with "
                   "-machine virt,rmm=on -cpu max");
        return NULL;
    }
    return the_query();
}

static void show_recs(GString *text, const RmmRecInfoList *list)
{
    for (; list; list = list->next) {
        const RmmRecInfo *rec = list->value;

        g_string_append_printf(text, "  REC %" PRIu32 " at 0x%" PRIx64
                               ": MPIDR 0x%" PRIx64 ", %s", rec->index,
                               rec->address, rec->mpidr,
                               RmmRecState_str(rec->state));
        if (rec->has_cpu) {
            g_string_append_printf(text, " on CPU %" PRId64, rec->cpu);
        }
        g_string_append_c(text, '\n');
    }
}

static void show_realms(GString *text, const RmmRealmInfoList *list)
{
    for (; list; list = list->next) {
        const RmmRealmInfo *realm = list->value;

        g_string_append_printf(text, "Realm at 0x%" PRIx64 ": VMID %" PRIu16
                               ", %s, %" PRIu8 " bits of IPA%s",
                               realm->address, realm->vmid,
                               RmmRealmState_str(realm->state),
                               realm->ipa_width, realm->lpa2 ? ", LPA2" : "");
        if (realm->has_sve_vector_length) {
            g_string_append_printf(text, ", SVE of %" PRIu32 " bits",
                                   realm->sve_vector_length);
        }
        if (realm->has_pmu_counters) {
            g_string_append_printf(text, ", PMU with %" PRIu32 " counters",
                                   realm->pmu_counters);
        }
        g_string_append_printf(text, "\n  RIM (%s) %s\n  pages: %" PRIu64
                               " private, %" PRIu64 " empty, %" PRIu64
                               " lent\n",
                               RmeGuestMeasurementAlgorithm_str(
                                   realm->measurement_algorithm),
                               realm->rim, realm->private_pages,
                               realm->empty_pages, realm->lent_pages);
        show_recs(text, realm->recs);
    }
}

static void show_totals(GString *text, const RmmInfo *info)
{
    const RmmGranules *g = info->granules;
    const RmmExits *x = info->exits;
    const RmmTlbFlushes *f = info->tlb_flushes;

    g_string_append_printf(text, "granules: %" PRIu64 " delegated, %" PRIu64
                           " RD, %" PRIu64 " REC, %" PRIu64 " REC_AUX, %"
                           PRIu64 " RTT, %" PRIu64 " DATA\n", g->delegated,
                           g->rd, g->rec, g->rec_aux, g->rtt, g->data);
    g_string_append_printf(text, "calls (failed): %" PRIu64 " (%" PRIu64
                           ") RMI, %" PRIu64 " (%" PRIu64 ") RSI, %" PRIu64
                           " (%" PRIu64 ") PSCI\n",
                           info->calls->rmi, info->failed_calls->rmi,
                           info->calls->rsi, info->failed_calls->rsi,
                           info->calls->psci, info->failed_calls->psci);
    g_string_append_printf(text, "exits: %" PRIu64 " sync, %" PRIu64 " IRQ, %"
                           PRIu64 " FIQ, %" PRIu64 " PSCI, %" PRIu64
                           " RIPAS change, %" PRIu64 " host call, %" PRIu64
                           " SError\n", x->sync, x->irq, x->fiq, x->psci,
                           x->ripas_change, x->host_call, x->serror);
    g_string_append_printf(text, "TLB flushes: %" PRIu64 " entered, %" PRIu64
                           " left, %" PRIu64 " delegated, %" PRIu64
                           " invalidated\n", f->entered, f->left,
                           f->delegated, f->invalidated);
}

static HumanReadableText *info_rmm(Error **errp)
{
    g_autoptr(RmmInfo) info = qmp_query_rmm(errp);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!info) {
        return NULL;
    }
    show_realms(text, info->realms);
    show_totals(text, info);
    return human_readable_text_from_str(text);
}

static void register_info(void)
{
    monitor_register_hmp_info_hrt("rmm", info_rmm);
}

type_init(register_info);
