/*
 * The contract of RealmBackendOps: the order of a migration, at the source
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

/* ---- Everything, in order ---- */

static void a_realm_moves_with_its_memory(void)
{
    g_autoptr(Pair) p = pair_new();

    touch_chunk(p->source, 1);
    guest_writes(p->source, PAGE_OF(1, 7), 17);
    yes(p->source, GUEST_RIPAS, PAGE_OF(3, 0), PAGE_OF(4, 0), false);
    pair_migrate(p);
    guest_reads(p->destination, CONTRACT_RAM_BASE, IMAGE_WORD);
    guest_reads(p->destination, PAGE_OF(1, 7), 17);
    guest_reads(p->destination, PAGE_OF(5, 0), 0);
    access_fails(p->destination, PAGE_OF(3, 0), CONTRACT_ABORT);
    access_fails(p->destination, CONTRACT_RAM_TOP, CONTRACT_ABORT);
    works(p->destination);
}

static void the_last_write_before_the_pause_arrives(void)
{
    g_autoptr(Pair) p = pair_new();

    touch_chunk(p->source, 1);
    pair_bind(p);
    pair_begin(p);
    pair_round(p);
    pair_epoch(p);
    guest_writes(p->source, PAGE_OF(1, 0), 1);
    pair_round(p);
    pair_epoch(p);
    guest_writes(p->source, PAGE_OF(1, 0), 2);
    pair_pause(p);
    g_assert_cmpint(pair_round(p), ==, 1);
    pair_state(p);
    pair_start(p);
    guest_reads(p->destination, PAGE_OF(1, 0), 2);
}

static void a_realm_may_move_on(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(Machine) first = p->source;

    pair_migrate(p);
    works(p->destination);
    p->source = p->destination;
    p->destination = waiting_machine("third");
    pair_migrate(p);
    guest_reads(p->destination, CONTRACT_RAM_BASE, IMAGE_WORD);
    works(p->destination);
}

static void vcpus_that_run_cannot_be_paused(void)
{
    g_autoptr(Pair) p = pair_new();

    pair_bind(p);
    pair_begin(p);
    pair_round(p);
    ask(p->source, PAUSE);      /* see `alike`: KVM's vCPUs never run here */
}

/* ---- Every call in every state ---- */

typedef enum State {
    NEW, RUNNING, ACCEPTED, EXPORTING, PAUSED, COMPLETE, SEALED, GONE, BACK,
    STATES
} State;

/* The calls to try, and the states that allow them. */
#define IN(state) (1u << (state))
#define SESSION (IN(EXPORTING) | IN(PAUSED) | IN(COMPLETE))

static const struct {
    ContractCall call;
    unsigned states;
    uint64_t arg;
    enum { NO_BLOB, OFFER_BLOB, PAGES_BLOB, JUNK_BLOB, BUNDLE_BLOB } blob;
} tried[] = {
    { CALL_PREPARE, IN(RUNNING) | IN(BACK) },
    { CALL_ACCEPT, IN(RUNNING) | IN(BACK), 0, OFFER_BLOB },
    { CALL_EXPORT_BEGIN, IN(ACCEPTED) },
    { CALL_COLLECT_DIRTY, SESSION },
    { CALL_EXPORT_MEMORY, SESSION, 0, PAGES_BLOB },
    { CALL_EXPORT_EPOCH, SESSION },
    { CALL_PAUSE, IN(EXPORTING) },
    { CALL_EXPORT_STATE, IN(PAUSED) },
    { CALL_EXPORT_STATE, IN(PAUSED) | IN(COMPLETE), 99 },
    { CALL_EXPORT_START, IN(COMPLETE) | IN(SEALED) },
    { CALL_EXPORT_ABORT, SESSION | IN(ACCEPTED) },
    { CALL_EXPORT_RESUME, 0, 0, JUNK_BLOB },
    { CALL_EXPORT_FINISH, IN(GONE), 0, JUNK_BLOB },
    { CALL_OFFER, 0 },
    { CALL_IMPORT, 0, 0, JUNK_BLOB },
    { CALL_IMPORT, 0, 0, BUNDLE_BLOB },
    { CALL_IMPORT_MEMORY, 0, 0, JUNK_BLOB },
    { CALL_IMPORT_MEMORY, 0, 0, BUNDLE_BLOB },
    { CALL_IMPORT_READY, 0 },
    { CALL_COMMIT, 0 },
    { CALL_IMPORT_RECEIPT, 0 },
    { CALL_IMPORT_ABORT, 0 },
};

/*
 * A memory bundle of another Realm, and an offer of another machine.  They are
 * made once, because every machine refuses them.
 */
typedef struct Strange {
    Pair *pair;
    Machine *machine;
    const GByteArray *blobs[BUNDLE_BLOB + 1];
} Strange;

static const Strange *strange(void)
{
    static Strange s;
    g_autoptr(GByteArray) list = page_numbers(2, 0, 1);

    if (s.pair) {
        return &s;
    }
    s.pair = pair_new();
    s.machine = waiting_machine("stranger");
    pair_bind(s.pair);
    pair_begin(s.pair);
    yes(s.pair->source, COLLECT_DIRTY);
    s.blobs[BUNDLE_BLOB] = yes(s.pair->source, EXPORT_MEMORY,
                               .blob = list)->blob;
    s.blobs[OFFER_BLOB] = yes(s.machine, OFFER)->blob;
    s.blobs[PAGES_BLOB] = page_numbers(1, 0);
    s.blobs[JUNK_BLOB] = cut(s.blobs[PAGES_BLOB], 80);
    return &s;
}

static void come_back(Pair *p)
{
    pair_token(p);
    yes(p->source, EXPORT_RESUME,
        .blob = yes(p->destination, IMPORT_ABORT)->blob);
    machine_free(p->destination);
    p->destination = waiting_machine("destination");
}

/* Take the step to @state from the state before it. */
static void step_to(Pair *p, State state)
{
    switch (state) {
    case RUNNING:
        yes(p->source, START);
        break;
    case ACCEPTED:
        pair_bind(p);
        break;
    case EXPORTING:
        pair_begin(p);
        pair_round(p);
        pair_epoch(p);
        break;
    case PAUSED:
        pair_pause(p);
        pair_round(p);
        break;
    case COMPLETE:
        pair_state(p);
        break;
    default:
        g_assert_not_reached();
    }
}

static Pair *pair_at(State state)
{
    Pair *p = g_new0(Pair, 1);

    p->source = loaded_machine("source", &(ContractSetup) { 0 });
    p->destination = waiting_machine("destination");
    for (State s = RUNNING; s <= MIN(state, COMPLETE); s++) {
        step_to(p, s);
    }
    return p;
}

static const RealmPhase phases[STATES] = {
    [NEW] = REALM_PHASE_NEW, [RUNNING] = REALM_PHASE_HERE,
    [ACCEPTED] = REALM_PHASE_ACCEPTED, [EXPORTING] = REALM_PHASE_EXPORTING,
    [PAUSED] = REALM_PHASE_PAUSED, [COMPLETE] = REALM_PHASE_PAUSED,
    [SEALED] = REALM_PHASE_SEALED, [GONE] = REALM_PHASE_GONE,
    [BACK] = REALM_PHASE_HERE,
};

/* Calls that @state does not allow are refused, and change nothing. */
static void try_all(Machine *m, State state)
{
    const Strange *s = strange();

    for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
        if (!(tried[i].states & IN(state))) {
            const Args args = { .a = tried[i].arg,
                                .blob = s->blobs[tried[i].blob] };

            machine_no(m, tried[i].call, &args);
            machine_no(m, tried[i].call, &args);
        }
    }
    phase_is(m, phases[state]);
}

/* From @state, the migration goes on as if nothing had happened. */
static void goes_on(Pair *p, State state)
{
    for (State s = state + 1; s <= COMPLETE; s++) {
        step_to(p, s);
    }
    pair_start(p);
    guest_reads(p->destination, CONTRACT_RAM_BASE, IMAGE_WORD);
    works(p->destination);
}

static void refuses_in(State state)
{
    g_autoptr(Pair) p = pair_at(state);

    try_all(p->source, state);
    goes_on(p, state);
}

static void a_realm_that_is_not_there_refuses_to_move(void)
{
    refuses_in(NEW);
}

static void a_realm_that_runs_only_accepts_offers(void)
{
    refuses_in(RUNNING);
}

static void what_accepted_an_offer_begins_or_gives_up(void)
{
    refuses_in(ACCEPTED);
}

static void an_open_session_has_rounds(void)
{
    refuses_in(EXPORTING);
}

static void a_paused_realm_exports_its_state(void)
{
    refuses_in(PAUSED);
}

static void a_complete_export_only_starts(void)
{
    refuses_in(COMPLETE);
}

static void a_realm_that_left_does_nothing(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);
    const Answer *token = pair_token(p);

    try_all(p->source, SEALED);
    no(p->source, START);
    phase_is(p->source, REALM_PHASE_SEALED);
    yes(p->destination, IMPORT, .blob = token->blob);
    yes(p->destination, COMMIT);
    yes(p->destination, START);
    works(p->destination);
}

static void a_realm_that_is_gone_does_nothing(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);

    pair_start(p);
    try_all(p->source, GONE);
    no(p->source, START);
    works(p->destination);
}

static void a_realm_that_came_back_is_as_before(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);

    come_back(p);
    try_all(p->source, BACK);
    yes(p->source, START);
    works(p->source);
    pair_migrate(p);
    works(p->destination);
}

/* ---- Offers ---- */

static void an_offer_gives_way_to_a_new_one_when_it_is_dropped(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(Machine) old = waiting_machine("old");
    const Answer *begin;

    yes(p->source, ACCEPT, .blob = offer_for(p->source, old));
    no(p->source, PREPARE);
    no(p->source, ACCEPT, .blob = yes(p->destination, OFFER)->blob);
    phase_is(p->source, REALM_PHASE_ACCEPTED);
    yes(p->source, EXPORT_ABORT);
    machine_free(p->destination);
    p->destination = waiting_machine("destination");
    pair_bind(p);
    begin = yes(p->source, EXPORT_BEGIN);
    phase_is(p->source, REALM_PHASE_EXPORTING);
    no(old, IMPORT, .blob = begin->blob);
    yes(p->destination, IMPORT, .blob = begin->blob);
}

static void an_offer_serves_once(void)
{
    g_autoptr(Pair) p = pair_new();
    const GByteArray *offer = offer_for(p->source, p->destination);

    yes(p->source, ACCEPT, .blob = offer);
    yes(p->source, EXPORT_ABORT);
    no(p->source, ACCEPT, .blob = offer);
    yes(p->source, PREPARE);
    no(p->source, ACCEPT, .blob = offer);
    phase_is(p->source, REALM_PHASE_HERE);
    no(p->source, EXPORT_BEGIN);
    works(p->source);
}

static void an_offer_is_for_the_nonce_that_was_prepared_last(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(Machine) early = waiting_machine("early");
    g_autoptr(Machine) stranger = waiting_machine("stranger");
    const GByteArray *offer = offer_for(p->source, early), *other;

    other = yes(stranger, OFFER)->blob;
    no(p->source, ACCEPT, .blob = other);
    phase_is(p->source, REALM_PHASE_HERE);
    pair_bind(p);               /* which prepares again */
    no(p->source, ACCEPT, .blob = offer);
    yes(p->source, EXPORT_ABORT);
    no(p->source, ACCEPT, .blob = offer);
    no(p->source, ACCEPT, .blob = other);
    phase_is(p->source, REALM_PHASE_HERE);
    works(p->source);
}

static void nothing_is_accepted_before_it_is_prepared(void)
{
    g_autoptr(Pair) p = pair_new();

    no(p->source, ACCEPT, .blob = yes(p->destination, OFFER)->blob);
    phase_is(p->source, REALM_PHASE_HERE);
    works(p->source);
}

static void what_is_no_offer_is_not_accepted(void)
{
    static const size_t sizes[] = { 0, 1, 47, 159, 4096, 1 << 20 };
    g_autoptr(Pair) p = pair_new();
    const GByteArray *offer = offer_for(p->source, p->destination);

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autoptr(GByteArray) other = cut(offer, sizes[i]);

        no(p->source, ACCEPT, .blob = other);
    }
    for (size_t at = 0; at < offer->len; at += 17) {
        g_autoptr(GByteArray) other = changed(offer, at, 1 << at % 8);

        no(p->source, ACCEPT, .blob = other);
    }
    phase_is(p->source, REALM_PHASE_HERE);
    yes(p->source, ACCEPT, .blob = offer);
    pair_until_start(p);
    pair_start(p);
}

static void a_realm_made_without_migration_stays(void)
{
    g_autoptr(Machine) m = loaded_machine("source",
                                          &(ContractSetup) { .fixed = true });
    g_autoptr(Machine) other = waiting_machine("destination");

    yes(m, START);
    no(m, PREPARE);
    no(m, ACCEPT, .blob = yes(other, OFFER)->blob);
    phase_is(m, REALM_PHASE_HERE);
    no(m, EXPORT_BEGIN);
    works(m);
}

/* ---- The way back ---- */

static void a_session_may_be_given_up_at_any_time_before_its_start(void)
{
    for (State state = ACCEPTED; state <= COMPLETE; state++) {
        g_autoptr(Pair) p = pair_at(state);

        yes(p->source, EXPORT_ABORT);
        no(p->source, EXPORT_ABORT);
        yes(p->source, START);
        works(p->source);
        machine_free(p->destination);
        p->destination = waiting_machine("destination");
        pair_migrate(p);
        works(p->destination);
    }
}

static void after_the_start_token_only_the_abort_token_helps(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);
    const Answer *token;

    pair_token(p);
    no(p->source, EXPORT_ABORT);
    token = yes(p->destination, IMPORT_ABORT);
    for (size_t at = 0; at < token->blob->len; at += 5) {
        g_autoptr(GByteArray) other = changed(token->blob, at, 0x10);

        no(p->source, EXPORT_RESUME, .blob = other);
    }
    for (size_t size = 0; size < 2 * token->blob->len; size += 8) {
        g_autoptr(GByteArray) other = cut(token->blob, size);

        if (size != token->blob->len) {
            no(p->source, EXPORT_RESUME, .blob = other);
        }
    }
    phase_is(p->source, REALM_PHASE_SEALED);
    yes(p->source, EXPORT_RESUME, .blob = token->blob);
    phase_is(p->source, REALM_PHASE_HERE);
    no(p->source, EXPORT_RESUME, .blob = token->blob);
    yes(p->source, START);
    works(p->source);
}

static void an_abort_token_is_for_its_own_session(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);
    g_autoptr(Machine) other = waiting_machine("other");
    const Answer *mine, *others, *ready;

    yes(other, OFFER);
    others = yes(other, IMPORT_ABORT);
    ready = yes(p->destination, IMPORT_READY);
    mine = yes(p->destination, IMPORT_ABORT);
    no(p->source, EXPORT_RESUME, .blob = mine->blob);   /* it is here */
    yes(p->source, EXPORT_START, .blob = ready->blob);
    no(p->source, EXPORT_RESUME, .blob = others->blob);
    yes(p->source, EXPORT_RESUME, .blob = mine->blob);
    yes(p->source, START);
    works(p->source);
}

static void a_realm_that_came_back_owes_all_of_its_pages(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);

    come_back(p);
    pair_bind(p);
    pair_begin(p);
    g_assert_cmpint(yes(p->source, COLLECT_DIRTY)->value, ==, CHUNK_PAGES);
}

/* ---- What the start token waits for ---- */

static void the_start_token_waits_for_all_pages(void)
{
    g_autoptr(Pair) p = pair_new();
    const Answer *ready;

    touch_chunk(p->source, 1);
    pair_bind(p);
    pair_begin(p);
    pair_round(p);
    pair_epoch(p);
    guest_writes(p->source, PAGE_OF(1, 0), 1);
    pair_pause(p);
    pair_state(p);
    ready = yes(p->destination, IMPORT_READY);
    no(p->source, EXPORT_START, .blob = ready->blob);
    yes(p->source, COLLECT_DIRTY);
    no(p->source, EXPORT_START, .blob = ready->blob);
    phase_is(p->source, REALM_PHASE_PAUSED);
    g_assert_cmpint(pair_round(p), ==, 1);
    pair_start(p);
}

static void the_start_token_waits_for_all_parts(void)
{
    g_autoptr(Pair) p = pair_at(PAUSED);

    for (unsigned part = 0; part < 100; part++) {
        g_autoptr(GByteArray) nobodys = page_numbers(8, 0, 0, 0, 0, 0, 0, 0, 0);
        const Answer *out;

        no(p->source, EXPORT_START, .blob = nobodys);
        out = yes(p->source, EXPORT_STATE, part);
        yes(p->destination, IMPORT, .blob = out->blob);
        if (part == CONTRACT_CPUS) {
            break;
        }
    }
    g_assert_cmpint(yes(p->source, EXPORT_STATE, CONTRACT_CPUS + 1)->value,
                    ==, 0);
    g_assert_cmpint(yes(p->source, EXPORT_STATE, CONTRACT_CPUS + 1)->value,
                    ==, 0);
    pair_start(p);
}

/* A record that says what it said a moment before serves no more. */
static void the_start_token_waits_for_the_destination(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);
    const GByteArray *ready = yes(p->destination, IMPORT_READY)->blob;

    for (size_t size = 0; size < 2 * ready->len; size += 8) {
        g_autoptr(GByteArray) other = cut(ready, size);

        if (size != ready->len) {
            no(p->source, EXPORT_START, .blob = other);
        }
    }
    for (size_t at = 0; at < ready->len; at++) {
        g_autoptr(GByteArray) other = changed(ready, at, 1 << at % 8);

        no(p->source, EXPORT_START, .blob = other);
    }
    pair_epoch(p);
    no(p->source, EXPORT_START, .blob = ready);
    phase_is(p->source, REALM_PHASE_PAUSED);
    pair_start(p);
    works(p->destination);
}

static void another_destination_is_not_the_one_that_was_accepted(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE), other = pair_at(COMPLETE);
    const Answer *ready = yes(other->destination, IMPORT_READY);

    no(p->source, EXPORT_START, .blob = ready->blob);
    phase_is(p->source, REALM_PHASE_PAUSED);
    yes(p->source, EXPORT_ABORT);
    yes(p->source, START);
    works(p->source);
}

static void the_start_token_can_be_had_again(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE);
    g_autoptr(GByteArray) none = g_byte_array_new();
    const GByteArray *token = pair_token(p)->blob, *again;

    again = yes(p->source, EXPORT_START, .blob = none)->blob;
    g_assert_cmpmem(token->data, token->len, again->data, again->len);
    phase_is(p->source, REALM_PHASE_SEALED);
    yes(p->destination, IMPORT, .blob = again);
    yes(p->destination, COMMIT);
    yes(p->destination, START);
    works(p->destination);
}

/* ---- The end ---- */

static void only_the_receipt_is_one(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE), other = pair_at(COMPLETE);
    const GByteArray *ready, *receipt;

    pair_start(other);
    ready = yes(p->destination, IMPORT_READY)->blob;
    yes(p->destination, IMPORT, .blob = pair_token(p)->blob);
    no(p->source, EXPORT_FINISH, .blob = ready);
    yes(p->destination, COMMIT);
    receipt = yes(p->destination, IMPORT_RECEIPT)->blob;
    no(p->source, EXPORT_FINISH,
       .blob = yes(other->destination, IMPORT_RECEIPT)->blob);
    for (size_t size = 0; size < 2 * receipt->len; size += 8) {
        g_autoptr(GByteArray) bad = cut(receipt, size);

        if (size != receipt->len) {
            no(p->source, EXPORT_FINISH, .blob = bad);
        }
    }
    for (size_t at = 0; at < receipt->len; at++) {
        g_autoptr(GByteArray) bad = changed(receipt, at, 0x20);

        no(p->source, EXPORT_FINISH, .blob = bad);
    }
    phase_is(p->source, REALM_PHASE_SEALED);
    yes(p->source, EXPORT_FINISH, .blob = receipt);
    phase_is(p->source, REALM_PHASE_GONE);
    yes(p->source, EXPORT_FINISH, .blob = receipt);
    phase_is(p->source, REALM_PHASE_GONE);
}

static void what_came_back_takes_no_receipt(void)
{
    g_autoptr(Pair) p = pair_at(COMPLETE), other = pair_at(COMPLETE);
    const GByteArray *receipt;

    pair_start(other);
    receipt = yes(other->destination, IMPORT_RECEIPT)->blob;
    come_back(p);
    no(p->source, EXPORT_FINISH, .blob = receipt);
    phase_is(p->source, REALM_PHASE_HERE);
    yes(p->source, START);
    works(p->source);
}

static void a_machine_in_a_paused_session_does_not_run(void)
{
    g_autoptr(Pair) p = pair_at(PAUSED);

    no(p->source, START);
    yes(p->source, PARK);
    yes(p->source, STOPPED);
    goes_on(p, PAUSED);
}

#define CASE(name) { #name, name }

const Case source_cases[] = {
    CASE(a_realm_moves_with_its_memory),
    CASE(the_last_write_before_the_pause_arrives),
    CASE(a_realm_may_move_on),
    CASE(vcpus_that_run_cannot_be_paused),
    CASE(a_realm_that_is_not_there_refuses_to_move),
    CASE(a_realm_that_runs_only_accepts_offers),
    CASE(what_accepted_an_offer_begins_or_gives_up),
    CASE(an_open_session_has_rounds),
    CASE(a_paused_realm_exports_its_state),
    CASE(a_complete_export_only_starts),
    CASE(a_realm_that_left_does_nothing),
    CASE(a_realm_that_is_gone_does_nothing),
    CASE(a_realm_that_came_back_is_as_before),
    CASE(an_offer_gives_way_to_a_new_one_when_it_is_dropped),
    CASE(an_offer_is_for_the_nonce_that_was_prepared_last),
    CASE(nothing_is_accepted_before_it_is_prepared),
    CASE(an_offer_serves_once),
    CASE(what_is_no_offer_is_not_accepted),
    CASE(a_realm_made_without_migration_stays),
    CASE(a_session_may_be_given_up_at_any_time_before_its_start),
    CASE(after_the_start_token_only_the_abort_token_helps),
    CASE(an_abort_token_is_for_its_own_session),
    CASE(a_realm_that_came_back_owes_all_of_its_pages),
    CASE(the_start_token_waits_for_all_pages),
    CASE(the_start_token_waits_for_all_parts),
    CASE(the_start_token_waits_for_the_destination),
    CASE(another_destination_is_not_the_one_that_was_accepted),
    CASE(the_start_token_can_be_had_again),
    CASE(only_the_receipt_is_one),
    CASE(what_came_back_takes_no_receipt),
    CASE(a_machine_in_a_paused_session_does_not_run),
    { NULL }
};
