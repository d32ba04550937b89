/*
 * A call that fails has told nothing
 *
 * The section of this name in docs/specs/realm-migration-stream.rst: a call
 * takes its effect before the first byte of its record leaves, and nothing
 * takes the effect back.  Here the buffer goes away after the RMM has looked
 * at it and before the RMM writes to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <string.h>

#include "mig-oracle.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

/* Non-secure memory that answers @left times, and is gone then */
typedef struct Going {
    MigSession *session;        /* looked at without locks: NULL is allowed */
    unsigned left, asked;
    MigPhase phase;             /* of the session, when asked last */
} Going;

static bool gone(void *opaque)
{
    Going *g = opaque;

    g->asked++;
    if (g->session) {
        g->phase = g->session->phase;
    }
    if (!g->left) {
        return true;
    }
    g->left--;
    return false;
}

static void go(Machine *m, Going *g, unsigned left)
{
    *g = (Going) { .session = machine_session(m), .left = left };
    m->ns_gone = gone;
    m->ns_gone_opaque = g;
}

static void come_back(Machine *m)
{
    m->ns_gone = NULL;
}

/* The calls that give a record, in the order of a migration */
typedef struct Telling {
    unsigned call;
    bool at_destination;
    unsigned reads;             /* uses of Non-secure memory before it looks */
    MigPhase phase;             /* once it has taken effect */
} Telling;

static const Telling tellings[] = {
    { MIG_OFFER,         true,  0, MIG_OFFERED },
    { MIG_EXPORT_BEGIN,  false, 0, MIG_EXPORTING },
    { MIG_EXPORT_MEMORY, false, 2, MIG_EXPORTING },
    { MIG_EXPORT_EPOCH,  false, 0, MIG_EXPORTING },
    { MIG_EXPORT_REALM,  false, 0, MIG_PAUSED },
    { MIG_EXPORT_REC,    false, 0, MIG_PAUSED },
    { MIG_IMPORT_READY,  true,  0, MIG_IMPORTING },
    { MIG_EXPORT_START,  false, 1, MIG_SEALED },
    { MIG_IMPORT_RECEIPT, true, 0, MIG_IDLE },
    { MIG_IMPORT_ABORT,  true,  0, MIG_FAILED },
};

typedef struct Course {
    Machine *src, *dst;
    unsigned pages;             /* collected, not sent */
    unsigned recs;              /* sent */
    unsigned owing;             /* calls whose record was owed, and taken */
} Course;

static Machine *teller(const Course *c, const Telling *t)
{
    return t->at_destination ? c->dst : c->src;
}

/* Ask for the record, into @room bytes */
static uint64_t tell(Course *c, const Telling *t, uint64_t out[4],
                     uint64_t room)
{
    Machine *m = teller(c, t);
    const uint64_t *nonce = m->nonce;

    memset(machine_ns(m, NS_BLOB(0)), 0xee, 4096);
    switch (t->call) {
    case MIG_OFFER:
        return MIG_OUT(m, out, t->call, NS_BLOB(0), room, nonce[0], nonce[1],
                       nonce[2], nonce[3]);
    case MIG_EXPORT_START:
        return MIG_OUT(m, out, t->call, NS_BLOB(0), room, NS_LIST(1));
    case MIG_EXPORT_MEMORY:
        return MIG_OUT(m, out, t->call, NS_LIST(0), c->pages, NS_BLOB(0),
                       room, 0);
    case MIG_EXPORT_REC:
        return MIG_OUT(m, out, t->call, m->recs[c->recs], NS_BLOB(0), room);
    default:
        return MIG_OUT(m, out, t->call, NS_BLOB(0), room, 0);
    }
}

/* Nothing of a record stands where it belongs */
static void nothing_told(Machine *m)
{
    const uint8_t *blob = machine_ns(m, NS_BLOB(0));

    for (int i = 0; i < 4096; i++) {
        g_assert_cmphex(blob[i], ==, 0xee);
    }
}

/* Until the buffer is back, the other calls that give a record wait */
static void others_wait(Course *c, const Telling *t)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tellings); i++) {
        const Telling *other = &tellings[i];
        uint64_t out[4], result;
        g_autofree char *before = NULL, *after = NULL;

        if (other->at_destination || t->at_destination ||
            other->call == t->call) {
            continue;
        }
        before = snapshot(c->src);
        result = tell(c, other, out, MIG_MAX_BUNDLE);
        after = snapshot(c->src);
        g_assert_true(result == REFUSED(MIG_CAUSE_OWED) ||
                      result == REFUSED(MIG_CAUSE_STATE));
        g_assert_cmpstr(before, ==, after);
        nothing_told(c->src);
    }
}

/* The call loses its buffer, and gives its record when it is asked again */
static Record *tell_twice(Course *c, const Telling *t)
{
    Machine *m = teller(c, t);
    uint64_t out[4];
    Going going;

    /* Gone when the call looks: it has changed nothing */
    go(m, &going, t->reads);
    REFUSES(m, tell(c, t, out, MIG_MAX_BUNDLE), RMI_ERROR_INPUT);
    come_back(m);
    /* Gone when the call writes: it has taken effect, and tells nothing */
    go(m, &going, t->reads + 1);
    g_assert_cmphex(tell(c, t, out, MIG_MAX_BUNDLE), ==, RMI_ERROR_INPUT);
    g_assert_cmpuint(going.asked, ==, t->reads + 2);
    if (going.session) {
        g_assert_cmpint(going.phase, ==, t->phase);
    }
    come_back(m);
    g_assert_cmpint(machine_session(m)->phase, ==, t->phase);
    g_assert_cmphex(out[0] | out[1] | out[2], ==, 0);
    nothing_told(m);
    c->owing += machine_session(m)->streams[0].owed.call == t->call;
    if (machine_session(m)->streams[0].owed.call) {
        others_wait(c, t);
    }
    REFUSES(m, tell(c, t, out, 16), RMI_ERROR_INPUT);
    nothing_told(m);
    OK(tell(c, t, out, MIG_MAX_BUNDLE));
    g_assert_cmpuint(machine_session(m)->streams[0].owed.call, ==, 0);
    g_assert_cmpuint(out[0], >, 0);
    return machine_record(m, RMI_SUCCESS, out[0], 0);
}

static const Telling *telling(unsigned call)
{
    size_t i = 0;

    while (tellings[i].call != call) {
        i++;
    }
    return &tellings[i];
}

static Record *course_tell(Course *c, unsigned call)
{
    return tell_twice(c, telling(call));
}

static void course_begin(Course *c)
{
    Record *offer;

    OK(machine_prepare(c->src, c->dst));
    offer = course_tell(c, MIG_OFFER);
    OK(machine_accept(c->src, offer));
    g_byte_array_unref(offer);
    step_take(c->dst, course_tell(c, MIG_EXPORT_BEGIN));
}

static void course_pages(Course *c)
{
    GArray *ipas = machine_collect(c->src);

    c->pages = ipas->len;
    memcpy(machine_ns(c->src, NS_LIST(0)), ipas->data, ipas->len * 8);
    g_array_unref(ipas);
    step_take(c->dst, course_tell(c, MIG_EXPORT_MEMORY));
}

/* All but the start token; the source's host has the ready record. */
static void course_seal(Course *c)
{
    Record *ready;

    OK(MIG(c->src, MIG_PAUSE));
    step_take(c->dst, course_tell(c, MIG_EXPORT_REALM));
    for (c->recs = 0; c->recs < MACHINE_RECS; c->recs++) {
        step_take(c->dst, course_tell(c, MIG_EXPORT_REC));
    }
    ready = course_tell(c, MIG_IMPORT_READY);
    memcpy(machine_ns(c->src, NS_LIST(1)), ready->data, ready->len);
    g_byte_array_unref(ready);
}

static Course course_new(void)
{
    Course c = { source_new(&machine_defaults, 4),
                 machine_new(&machine_defaults) };

    return c;
}

static void course_free(Course *c)
{
    machine_free(c->src);
    machine_free(c->dst);
}

/* Every call of a migration loses its buffer once; the Realm arrives whole. */
static void test_a_record_that_was_lost_is_given_again(void)
{
    Course c = course_new();

    course_begin(&c);
    course_pages(&c);
    step_take(c.dst, course_tell(&c, MIG_EXPORT_EPOCH));
    course_seal(&c);
    step_take(c.dst, course_tell(&c, MIG_EXPORT_START));
    step_run(c.dst);
    g_assert_cmpint(machine_state(c.src), ==, REALM_EXPORTED);
    same_realm(c.src, c.dst);
    g_byte_array_unref(course_tell(&c, MIG_IMPORT_RECEIPT));
    /* All but the three that the call itself gives again */
    g_assert_cmpuint(c.owing, ==, 5 + MACHINE_RECS);
    course_free(&c);
}

/* A start token that a host may have in part is the only one there is. */
static void test_there_is_one_start_token(void)
{
    Course c = course_new();
    Record *first, *token;
    uint64_t out[4];
    Going going;

    course_begin(&c);
    course_pages(&c);
    course_seal(&c);
    go(c.src, &going, 2);
    g_assert_cmphex(tell(&c, telling(MIG_EXPORT_START), out, 4096), ==,
                    RMI_ERROR_INPUT);
    come_back(c.src);
    nothing_told(c.src);
    g_assert_cmpint(machine_state(c.src), ==, REALM_EXPORTED);
    REFUSES(c.src, MIG(c.src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
    OK(tell(&c, telling(MIG_EXPORT_START), out, 4096));
    first = machine_record(c.src, RMI_SUCCESS, out[0], 0);
    for (int i = 0; i < 3; i++) {
        REFUSES(c.src, tell(&c, telling(MIG_EXPORT_START), out, 4096),
                RMI_SUCCESS);
        g_assert_cmpmem(machine_ns(c.src, NS_BLOB(0)), out[0],
                        first->data, first->len);
        REFUSES(c.src, tell(&c, telling(MIG_EXPORT_START), out,
                            first->len - 1), RMI_ERROR_INPUT);
    }
    /* None is left once the Realm is back */
    OK(machine_abort(c.dst, &token));
    OK(machine_resume(c.src, token));
    REFUSES(c.src, tell(&c, telling(MIG_EXPORT_START), out, 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(token);
    g_byte_array_unref(first);
    course_free(&c);
}

/* A destination whose host may have a part of the secret never commits. */
static void test_an_abort_is_final_before_its_token_leaves(void)
{
    Course c = course_new();
    uint8_t secret[32];
    Record *token;
    uint64_t out[4];
    Going going;

    course_begin(&c);
    course_pages(&c);
    course_seal(&c);
    step_take(c.dst, course_tell(&c, MIG_EXPORT_START));
    memcpy(secret, machine_session(c.dst)->abort_secret, 32);
    go(c.dst, &going, 1);
    g_assert_cmphex(tell(&c, telling(MIG_IMPORT_ABORT), out, 4096), ==,
                    RMI_ERROR_INPUT);
    g_assert_cmpint(going.phase, ==, MIG_FAILED);
    come_back(c.dst);
    g_assert_null(memmem(c.dst->ns, c.dst->ns_size, secret, 32));
    g_assert_cmpint(machine_state(c.dst), ==, REALM_FAILED);
    REFUSES(c.dst, MIG(c.dst, MIG_IMPORT_COMMIT), REFUSED(MIG_CAUSE_STATE));
    OK(machine_abort(c.dst, &token));
    OK(machine_resume(c.src, token));
    g_byte_array_unref(token);
    course_free(&c);
}

/* What is owed ends with its session, and blocks no way out. */
static void test_what_is_owed_ends_with_its_session(void)
{
    Course c = course_new();
    Record *token;
    uint64_t out[4];
    Going going;

    go(c.dst, &going, 1);
    g_assert_cmphex(tell(&c, telling(MIG_OFFER), out, 4096), ==,
                    RMI_ERROR_INPUT);
    come_back(c.dst);
    OK(machine_abort(c.dst, &token));
    REFUSES(c.dst, tell(&c, telling(MIG_OFFER), out, 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(token);
    machine_free(c.dst);

    c.dst = machine_new(&machine_defaults);
    course_begin(&c);
    go(c.src, &going, 1);
    g_assert_cmphex(tell(&c, telling(MIG_EXPORT_EPOCH), out, 4096), ==,
                    RMI_ERROR_INPUT);
    come_back(c.src);
    OK(MIG(c.src, MIG_EXPORT_ABORT));
    REFUSES(c.src, tell(&c, telling(MIG_EXPORT_EPOCH), out, 4096),
            REFUSED(MIG_CAUSE_STATE));
    course_free(&c);
}

/* The host may guess an offer's last bytes; who answers it has taken it. */
static void test_an_answer_ends_the_debt_of_the_offer(void)
{
    Course c = course_new();
    const MigHelloRecord *made;
    Record *offer;
    uint64_t out[4];
    Going going;

    OK(machine_prepare(c.src, c.dst));
    go(c.dst, &going, 1);
    g_assert_cmphex(tell(&c, telling(MIG_OFFER), out, 4096), ==,
                    RMI_ERROR_INPUT);
    come_back(c.dst);
    g_assert_cmpuint(machine_session(c.dst)->streams[0].owed.call, ==,
                     MIG_OFFER);
    made = &machine_session(c.dst)->hello;
    offer = g_byte_array_append(g_byte_array_new(), (const uint8_t *)made,
                                made->hello.size);
    OK(machine_accept(c.src, offer));
    g_byte_array_unref(offer);
    step_take(c.dst, course_tell(&c, MIG_EXPORT_BEGIN));
    REFUSES(c.dst, tell(&c, telling(MIG_OFFER), out, 4096),
            REFUSED(MIG_CAUSE_STATE));
    course_pages(&c);
    course_seal(&c);
    step_take(c.dst, course_tell(&c, MIG_EXPORT_START));
    step_run(c.dst);
    same_realm(c.src, c.dst);
    course_free(&c);
}

/* A debt of one stream holds back the calls that lock all, and no stream. */
static void test_a_debt_of_another_stream(void)
{
    Course c = course_new();
    Machine *m = c.src;
    GArray *ipas;
    uint64_t out[4];
    Going going;

    course_begin(&c);
    ipas = machine_collect(m);
    memcpy(machine_ns(m, NS_LIST(0)), ipas->data, ipas->len * 8);
    go(m, &going, 3);
    g_assert_cmphex(MIG(m, MIG_EXPORT_MEMORY, NS_LIST(0), 1, NS_BLOB(0),
                        MIG_MAX_BUNDLE, 3), ==, RMI_ERROR_INPUT);
    come_back(m);
    g_assert_cmpuint(machine_session(m)->streams[3].owed.call, ==,
                     MIG_EXPORT_MEMORY);
    REFUSES(m, MIG(m, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_OWED));
    memcpy(machine_ns(m, NS_LIST(0)), ipas->data, ipas->len * 8);
    OK(MIG_OUT(m, out, MIG_EXPORT_MEMORY, NS_LIST(0), ipas->len, NS_BLOB(0),
               MIG_MAX_BUNDLE, 2));
    g_assert_cmpuint(out[1], ==, ipas->len - 1);
    step_take(c.dst, machine_record(m, RMI_SUCCESS, out[0], 0));
    OK(MIG_OUT(m, out, MIG_EXPORT_MEMORY, NS_LIST(0), 1, NS_BLOB(0),
               MIG_MAX_BUNDLE, 3));
    g_assert_cmpuint(out[1], ==, 1);
    step_take(c.dst, machine_record(m, RMI_SUCCESS, out[0], 0));
    step_take(c.dst, course_tell(&c, MIG_EXPORT_EPOCH));
    g_array_unref(ipas);
    course_free(&c);
}

/* "Taking back", PAUSED: every call but EXPORT_ABORT is refused. */
static void test_a_source_that_lost_something_gives_no_debt(void)
{
    Course c = course_new();
    uint64_t out[4];
    Going going;

    course_begin(&c);
    course_pages(&c);
    OK(MIG(c.src, MIG_PAUSE));
    go(c.src, &going, 1);
    g_assert_cmphex(tell(&c, telling(MIG_EXPORT_REALM), out, 65536), ==,
                    RMI_ERROR_INPUT);
    come_back(c.src);
    OK(SMC(c.src, RMI_DATA_DESTROY, c.src->rd, page_ipa(0, 4)));
    REFUSES(c.src, tell(&c, telling(MIG_EXPORT_REALM), out, 65536),
            REFUSED(MIG_CAUSE_RECLAIMED));
    nothing_told(c.src);
    OK(MIG(c.src, MIG_EXPORT_ABORT));
    g_assert_cmpint(machine_state(c.src), ==, REALM_ACTIVE);
    course_free(&c);
}

#define TEST(name) g_test_add_func("/mig-told/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(a_record_that_was_lost_is_given_again);
    TEST(there_is_one_start_token);
    TEST(an_abort_is_final_before_its_token_leaves);
    TEST(what_is_owed_ends_with_its_session);
    TEST(an_answer_ends_the_debt_of_the_offer);
    TEST(a_debt_of_another_stream);
    TEST(a_source_that_lost_something_gives_no_debt);
    g_test_add_func("/mig-told/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
