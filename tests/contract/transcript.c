/*
 * The contract of RealmBackendOps: the transcript
 *
 * Purpose: write one line for each call: the machine, the arguments and the
 * outcome, in a form that backends have in common.  Blobs are opaque, so the
 * line says only that there is one.  If a message quotes the layer below, the
 * line has "detail" instead.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/units.h"
#include "machine.h"

static FILE *out;
static char *current;

void transcript_open(const char *path)
{
    out = fopen(path, "w");
    if (!out) {
        g_error("%s: %s", path, strerror(errno));
    }
}

void transcript_close(void)
{
    if (out && fclose(out)) {
        g_error("transcript: %s", strerror(errno));
    }
    out = NULL;
}

void transcript_begin(const char *name)
{
    g_free(current);
    current = g_strdup(name);
}

static char *address(uint64_t value)
{
    return g_strdup_printf("0x%" PRIx64, value);
}

/* "1-3 7" of a bitmap */
static char *page_list(const GByteArray *blob)
{
    const unsigned long *bits = (const unsigned long *)blob->data;
    unsigned long end = blob->len * 8, page = find_first_bit(bits, end);
    GString *text = g_string_new(NULL);

    while (page < end) {
        unsigned long next = find_next_zero_bit(bits, end, page);

        g_string_append_printf(text, " %lu-%lu", page, next - 1);
        page = find_next_bit(bits, end, next);
    }
    return g_string_free(text, false);
}

/*
 * The message without what differs between backends: the RMM's status, an ioctl
 * with its errno, and the size of the host's page.
 */
static char *plain(const char *error)
{
    g_autoptr(GRegex) layer = g_regex_new(
        "RMM status \\d+, index \\d+$|KVM_\\w+(\\(\\w+\\))?.*$|"
        "(?<=whole pages of )\\d+", 0, 0, NULL);

    return g_regex_replace(layer, error, -1, 0, "detail", 0, NULL);
}

static char *feature_list(const GByteArray *blob)
{
    const RealmFeatures *features = (const RealmFeatures *)blob->data;

    return g_strdup_printf("SVE of %u bits, PMU %d with %u counters",
                           features->sve_vl, features->pmu,
                           features->pmu_num_ctrs);
}

static bool takes_blob(ContractCall call)
{
    return call == CALL_ACCEPT || call == CALL_EXPORT_START ||
           call == CALL_EXPORT_RESUME || call == CALL_EXPORT_FINISH ||
           call == CALL_OFFER || call == CALL_IMPORT ||
           call == CALL_IMPORT_MEMORY;
}

/* No backend has bundles of 4 MiB. */
static const char *blob_size(const GByteArray *blob)
{
    return !blob || !blob->len ? "empty" :
           blob->len < 4 * MiB ? "blob" : "huge";
}

static char *arguments(ContractCall call, const Args *args)
{
    g_autofree char *first = address(args->a);
    g_autofree char *second = address(args->b);

    switch (call) {
    case CALL_INIT_RIPAS:
    case CALL_ADD_IMAGE:
    case CALL_HOST_WRITE:
    case CALL_GUEST_WRITE:
        return g_strdup_printf("%s, %s", first, second);
    case CALL_GUEST_RIPAS:
        return g_strdup_printf("%s, %s, %s", first, second,
                               args->c ? "RAM" : "EMPTY");
    case CALL_HOST_READ:
    case CALL_GUEST_READ:
        return g_strdup(first);
    case CALL_EXPORT_STATE:
        return g_strdup_printf("%" PRIu64, args->a);
    case CALL_EXPORT_MEMORY:
        return g_strdup_printf("stream %" PRIu64 ", %u pages", args->a,
                               args->blob->len / 8);
    default:
        return g_strdup(takes_blob(call) ? blob_size(args->blob) : "");
    }
}

static char *access_result(const Answer *answer)
{
    static const char *const outcomes[] = {
        [CONTRACT_DONE] = "done", [CONTRACT_ABORT] = "external abort",
        [CONTRACT_HOST] = "for the host to emulate",
        [CONTRACT_GONE] = "stops the vCPU",
    };

    return answer->ok
        ? g_strdup_printf("0x%" PRIx64 ", %u faults", answer->value,
                          answer->extra)
        : g_strdup(outcomes[MIN(answer->value, CONTRACT_GONE)]);
}

static char *outcome(ContractCall call, const Answer *answer)
{
    g_autofree char *text = NULL;

    switch (call) {
    case CALL_GUEST_READ:
    case CALL_GUEST_WRITE:
        return access_result(answer);
    default:
        break;
    }
    if (!answer->ok) {
        text = plain(answer->error);
        return g_strdup_printf("refused: %s", text);
    }
    switch (call) {
    case CALL_LIMITS:
        return g_strdup("ok");
    case CALL_COLLECT_DIRTY:
        text = page_list(answer->blob);
        return g_strdup_printf("%" PRId64 " pages:%s", answer->value, text);
    case CALL_EXPORT_MEMORY:
        return g_strdup_printf("%u pages, %s", answer->extra,
                               answer->value ? "a blob" : "nothing");
    case CALL_IMPORT_MEMORY:
        return g_strdup_printf("%u pages", answer->extra);
    case CALL_COUNT_PAGES:
        return g_strdup_printf("%" PRId64 " private, %u lent",
                               answer->value, answer->extra);
    case CALL_FEATURES:
        return feature_list(answer->blob);
    case CALL_HOST_READ:
    case CALL_GUEST_RIPAS:
        return g_strdup_printf("0x%" PRIx64, answer->value);
    case CALL_PHASE:
        return g_strdup(realm_phase_name(answer->value));
    case CALL_MEASUREMENT:
        return g_strdup_printf("%" PRId64, answer->value);
    default:
        return g_strdup(answer->value ? "a blob" : "ok");
    }
}

void transcript_add(const char *machine, ContractCall call, const Args *args,
                    const Answer *answer)
{
    g_autofree char *in = arguments(call, args);
    g_autofree char *result = outcome(call, answer);

    if (out) {
        fprintf(out, "%s: %s: %s(%s): %s\n", current, machine,
                contract_call_name(call), in, result);
    }
    if (g_test_verbose()) {
        g_test_message("%s: %s(%s): %s", machine, contract_call_name(call),
                       in, result);
    }
}
