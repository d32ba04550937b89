/*
 * Realms under TCG: what every machine gives the RMM (see services.h)
 *
 * Lock rule: any thread, no lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "crypto/random.h"
#include "accel/tcg/realm/trace.h"
#include "services.h"

void realm_random(void *opaque, void *buf, size_t len)
{
    /* Not a guest's random numbers: those repeat with the option -seed. */
    qcrypto_random_bytes(buf, len, &error_fatal);
}

/*
 * Hosts of the model are QEMU's users: they can stop the machine, and set its
 * RTC.  So it is the clock of the real machine, which only goes on.
 */
uint64_t realm_seconds(void *opaque)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME) / 1000;
}

static void log_call(const RmmLog *entry)
{
    g_autoptr(GString) inputs = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < entry->num_inputs; i++) {
        g_string_append_printf(inputs, " 0x%" PRIx64, entry->inputs[i]);
    }
    trace_realm_rmm_call(entry->interface, entry->call, entry->rd, entry->rec,
                         inputs->str, entry->switched ? "switched" : "returned",
                         entry->result);
}

void realm_log(void *opaque, const RmmLog *entry)
{
    if (entry->exit) {
        trace_realm_rmm_exit(entry->exit, entry->rd, entry->rec,
                             entry->result);
    } else if (trace_event_get_state_backends(TRACE_REALM_RMM_CALL)) {
        log_call(entry);
    }
}

bool realm_log_all(void *opaque)
{
    return trace_event_get_state_backends(TRACE_REALM_RMM_CALL) ||
           trace_event_get_state_backends(TRACE_REALM_RMM_EXIT);
}
