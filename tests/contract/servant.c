/*
 * The contract of RealmBackendOps: a machine's process
 *
 * Purpose: make the calls that the test's process requests.
 *
 * Invariants: a buffer for an op has exactly the size that RealmBackendOps
 * promises, and the servant checks the bytes behind it.
 *
 * Lock rule: contract.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-realm.h"
#include "qapi/qobject-output-visitor.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qobject/qjson.h"
#include "qobject/qobject.h"
#include "wire.h"

#define FENCE 64
#define FENCE_BYTE 0xa5

typedef struct Serving {
    const ContractHarness *harness;
    const RealmBackendOps *ops;
    const uint64_t *arg;
    const uint8_t *blob;
    size_t blob_size;
    uint8_t *buf;               /* room for an answer of @room bytes */
    size_t room;
    ContractAnswer answer;
    Error *err;
} Serving;

static void give_room(Serving *s, size_t room)
{
    s->room = room;
    s->buf = g_malloc(room + FENCE);
    memset(s->buf, FENCE_BYTE, room + FENCE);
}

static size_t max_blob(Serving *s)
{
    RealmMigrationLimits limits;

    s->ops->migration_limits(&limits);
    return limits.max_blob;
}

static void check_fence(const Serving *s)
{
    for (size_t i = 0; s->buf && i < FENCE; i++) {
        if (s->buf[s->room + i] != FENCE_BYTE) {
            error_report("contract: an op wrote behind its buffer");
            abort();
        }
    }
}

/* ---- Life cycle ---- */

static void features(Serving *s)
{
    give_room(s, sizeof(RealmFeatures));
    s->answer.ok = s->ops->features((RealmFeatures *)s->buf);
    s->answer.blob_size = s->answer.ok ? s->room : 0;
}

/* In words of QMP, whose members need no struct at the other end. */
static void capabilities(Serving *s)
{
    g_autoptr(RealmCapabilities) caps = s->ops->capabilities(&s->err);
    g_autoptr(GString) json = NULL;
    QObject *object;
    Visitor *v;

    s->answer.ok = caps;
    if (!caps) {
        return;
    }
    v = qobject_output_visitor_new(&object);
    visit_type_RealmCapabilities(v, NULL, &caps, &error_abort);
    visit_complete(v, &object);
    visit_free(v);
    json = qobject_to_json(object);
    qobject_unref(object);
    give_room(s, json->len);
    memcpy(s->buf, json->str, json->len);
    s->answer.blob_size = json->len;
}

static void serve_life(Serving *s, ContractCall call)
{
    ContractAnswer *a = &s->answer;
    RealmPages pages = { 0 };

    a->ok = true;
    switch (call) {
    case CALL_INIT_RIPAS:
        a->ok = s->ops->init_ripas(s->arg[0], s->arg[1], &s->err);
        break;
    case CALL_ADD_IMAGE:
        s->ops->add_image(s->arg[0], s->arg[1]);
        break;
    case CALL_START:
        a->ok = s->ops->start(&s->err);
        if (a->ok && s->harness->ran) {
            s->harness->ran();
        }
        break;
    case CALL_PARK:
        s->ops->park();
        break;
    case CALL_STOPPED:
        s->ops->stopped();
        break;
    case CALL_RESET:
        a->ok = s->ops->reset(&s->err);
        break;
    case CALL_PHASE:
        a->value = s->ops->phase();
        break;
    case CALL_MEASUREMENT:
        give_room(s, REALM_MEASUREMENT_SIZE);
        a->value = s->ops->measurement(s->buf);
        a->blob_size = a->value;
        break;
    case CALL_COUNT_PAGES:
        a->ok = s->ops->count_pages(&pages);
        a->value = pages.private;
        a->extra = pages.lent;
        break;
    case CALL_FEATURES:
        return features(s);
    case CALL_CAPABILITIES:
        return capabilities(s);
    default:
        g_assert_not_reached();
    }
}

/* ---- Source ---- */

static void collect_dirty(Serving *s)
{
    unsigned long pages = CONTRACT_RAM_SIZE / REALM_PAGE_SIZE;

    give_room(s, BITS_TO_LONGS(pages) * sizeof(unsigned long));
    s->answer.value = s->ops->collect_dirty((unsigned long *)s->buf, &s->err);
    s->answer.ok = s->answer.value >= 0;
    s->answer.blob_size = s->answer.ok ? s->room : 0;
}

static void emitted(Serving *s, ssize_t size)
{
    s->answer.ok = size >= 0;
    s->answer.value = size;
    s->answer.blob_size = MAX(size, 0);
    if (size > (ssize_t)s->room) {
        error_report("contract: an op gave %zd bytes for %zu", size, s->room);
        abort();
    }
}

static size_t room_for(Serving *s, ContractCall call)
{
    switch (call) {
    case CALL_PREPARE:
        return REALM_NONCE_SIZE;
    case CALL_EXPORT_START:
        return REALM_MAX_START_TOKEN;
    case CALL_IMPORT_READY:
    case CALL_IMPORT_RECEIPT:
        return REALM_MAX_REPLY;
    default:
        return max_blob(s);
    }
}

/* A case that has no nonce means another one than any source drew. */
static ssize_t make_offer(Serving *s)
{
    uint8_t nonce[REALM_NONCE_SIZE] = { 0 };

    memcpy(nonce, s->blob, MIN(s->blob_size, sizeof(nonce)));
    return s->ops->offer(nonce, s->buf, &s->err);
}

static void serve_emitting(Serving *s, ContractCall call)
{
    const RealmBackendOps *ops = s->ops;

    give_room(s, room_for(s, call));
    switch (call) {
    case CALL_PREPARE:
        return emitted(s, ops->prepare_migration(s->buf, &s->err)
                          ? REALM_NONCE_SIZE : -1);
    case CALL_EXPORT_BEGIN:
        return emitted(s, ops->export_begin(s->buf, &s->err));
    case CALL_EXPORT_MEMORY:
        return emitted(s, ops->export_memory(s->arg[0],
                                             (const uint64_t *)s->blob,
                                             s->blob_size / 8, s->buf,
                                             &s->answer.extra, &s->err));
    case CALL_EXPORT_EPOCH:
        return emitted(s, ops->export_epoch(s->buf, &s->err));
    case CALL_EXPORT_STATE:
        return emitted(s, ops->export_state(s->arg[0], s->buf, &s->err));
    case CALL_EXPORT_START:
        return emitted(s, ops->export_start(s->blob, s->blob_size, s->buf,
                                            &s->err));
    case CALL_OFFER:
        return emitted(s, make_offer(s));
    case CALL_IMPORT_READY:
        return emitted(s, ops->import_ready(s->buf, &s->err));
    case CALL_IMPORT_RECEIPT:
        return emitted(s, ops->import_receipt(s->buf, &s->err));
    case CALL_IMPORT_ABORT:
        return emitted(s, ops->import_abort(s->buf, &s->err));
    default:
        g_assert_not_reached();
    }
}

static bool serve_taking(Serving *s, ContractCall call)
{
    const RealmBackendOps *ops = s->ops;
    int pages;

    switch (call) {
    case CALL_ACCEPT:
        return ops->accept(s->blob, s->blob_size, &s->err);
    case CALL_PAUSE:
        return ops->pause(&s->err);
    case CALL_EXPORT_ABORT:
        return ops->export_abort(&s->err);
    case CALL_EXPORT_RESUME:
        return ops->export_resume(s->blob, s->blob_size, &s->err);
    case CALL_EXPORT_FINISH:
        return ops->export_finish(s->blob, s->blob_size, &s->err);
    case CALL_IMPORT:
        return ops->import(s->blob, s->blob_size, &s->err);
    case CALL_IMPORT_MEMORY:
        pages = ops->import_memory(s->blob, s->blob_size, &s->err);
        s->answer.extra = pages < 0 ? pages == -ECANCELED : pages;
        return pages >= 0;
    case CALL_COMMIT:
        return ops->commit(&s->err);
    default:
        g_assert_not_reached();
    }
}

static void limits(Serving *s)
{
    give_room(s, sizeof(RealmMigrationLimits));
    s->ops->migration_limits((RealmMigrationLimits *)s->buf);
    s->answer.ok = true;
    s->answer.blob_size = s->room;
}

/* ---- The machine around it ---- */

static uint64_t *host_word(Serving *s)
{
    uint64_t offset = s->arg[0] - CONTRACT_RAM_BASE;

    assert(offset % 8 == 0 && offset < CONTRACT_RAM_SIZE);
    return (uint64_t *)(s->harness->shared_ram() + offset);
}

static void guest(Serving *s, bool write)
{
    ContractAccess access = { .ipa = s->arg[0], .write = write,
                              .value = s->arg[1] };
    ContractOutcome outcome = s->harness->access(&access);

    s->answer.ok = outcome == CONTRACT_DONE;
    s->answer.value = s->answer.ok ? access.value : outcome;
    s->answer.extra = access.faults;
}

static void serve_machine(Serving *s, ContractCall call)
{
    uint64_t reached = 0;

    s->answer.ok = true;
    switch (call) {
    case CALL_HOST_READ:
        s->answer.value = *host_word(s);
        break;
    case CALL_HOST_WRITE:
        *host_word(s) = s->arg[1];
        break;
    case CALL_GUEST_READ:
    case CALL_GUEST_WRITE:
        guest(s, call == CALL_GUEST_WRITE);
        break;
    case CALL_GUEST_RIPAS:
        s->answer.ok = s->harness->set_ripas(s->arg[0], s->arg[1], s->arg[2],
                                             &reached);
        s->answer.value = reached;
        break;
    default:
        g_assert_not_reached();
    }
}

static void serve_call(Serving *s, ContractCall call)
{
    switch (call) {
    case CALL_INIT_RIPAS ... CALL_CAPABILITIES:
        return serve_life(s, call);
    case CALL_LIMITS:
        return limits(s);
    case CALL_COLLECT_DIRTY:
        return collect_dirty(s);
    case CALL_PREPARE:
    case CALL_EXPORT_BEGIN:
    case CALL_EXPORT_MEMORY:
    case CALL_EXPORT_EPOCH:
    case CALL_EXPORT_STATE:
    case CALL_EXPORT_START:
    case CALL_OFFER:
    case CALL_IMPORT_READY:
    case CALL_IMPORT_RECEIPT:
    case CALL_IMPORT_ABORT:
        return serve_emitting(s, call);
    case CALL_HOST_READ ... CALL_GUEST_RIPAS:
        return serve_machine(s, call);
    default:
        s->answer.ok = serve_taking(s, call);
    }
}

/* ---- Requests ---- */

static bool read_all(int fd, void *buf, size_t size)
{
    for (size_t done = 0; done < size; ) {
        ssize_t ret = RETRY_ON_EINTR(read(fd, (char *)buf + done,
                                          size - done));

        if (ret <= 0) {
            return false;
        }
        done += ret;
    }
    return true;
}

static void reply(int fd, Serving *s)
{
    const char *error = s->err ? error_get_pretty(s->err) : "";

    s->answer.error_size = strlen(error);
    if (qemu_write_full(fd, &s->answer, sizeof(s->answer)) < 0 ||
        qemu_write_full(fd, error, s->answer.error_size) < 0 ||
        qemu_write_full(fd, s->buf, s->answer.blob_size) < 0) {
        _exit(EXIT_FAILURE);
    }
}

static bool serve_request(int fd, const ContractHarness *harness)
{
    g_autofree uint8_t *blob = NULL;
    ContractRequest request;
    Serving s = { .harness = harness, .ops = harness->ops(),
                  .arg = request.arg };

    if (!read_all(fd, &request, sizeof(request))) {
        return false;
    }
    /* An allocation of exactly this size, so that sanitizers see overruns. */
    s.blob = blob = g_malloc(request.blob_size);
    s.blob_size = request.blob_size;
    if (!read_all(fd, blob, request.blob_size)) {
        return false;
    }
    serve_call(&s, request.call);
    check_fence(&s);
    reply(fd, &s);
    error_free(s.err);
    g_free(s.buf);
    return true;
}

void contract_serve(int fd, const ContractHarness *harness)
{
    while (serve_request(fd, harness)) {
        /* until the test has had enough of this machine */
    }
    _exit(EXIT_SUCCESS);
}
