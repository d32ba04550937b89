/*
 * Offers: for whom they are, how long they serve, and who can have made them
 *
 * "Exchange" in docs/specs/realm-migration-stream.rst.  Each refusal is
 * followed by a check that nothing has changed, or that the import has failed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig-oracle.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

typedef struct Pair {
    Machine *src, *dst;
} Pair;

static Pair pair_of(const MachineParams *params)
{
    return (Pair) { source_new(params, 2), machine_new(params) };
}

static Pair pair_new(void)
{
    return pair_of(&machine_defaults);
}

static void pair_free(Pair *p)
{
    machine_free(p->src);
    machine_free(p->dst);
}

static Record *offer_of(Machine *dst)
{
    Record *offer;

    OK(machine_offer(dst, &offer));
    return offer;
}

static void accepts(Machine *src, Record *offer)
{
    OK(machine_accept(src, offer));
    g_byte_array_unref(offer);
}

static void refuses(Machine *src, Record *offer, MigCause cause)
{
    REFUSES(src, machine_accept(src, offer), REFUSED(cause));
    g_byte_array_unref(offer);
}

static Record *begin_of(Machine *src)
{
    uint64_t result;
    Record *begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);

    OK(result);
    return begin;
}

/* The import is over for this cause; what is left is the abort token */
static void fails(Machine *dst, Record *record, MigCause cause)
{
    static const uint8_t zero[CRYPTO_KEY_SIZE];
    MigSession *s = machine_session(dst);
    Record *token;

    g_assert_cmphex(machine_receive(dst, record), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    g_assert_cmpint(s->phase, ==, MIG_FAILED);
    g_assert_cmpmem(s->secret, sizeof(s->secret), zero, sizeof(zero));
    g_assert_cmpmem(s->key, sizeof(s->key), zero, sizeof(zero));
    g_assert_null(s->back.aead);
    OK(machine_abort(dst, &token));
    g_byte_array_unref(token);
    g_byte_array_unref(record);
}

/* ---- for whom ---- */

static void test_accept_refuses_an_offer_for_another_realm(void)
{
    Pair p = pair_new();
    Machine *other = source_new(&machine_defaults, 2);
    Record *offer;

    OK(machine_prepare(p.src, p.dst));
    OK(machine_prepare(other, p.dst));
    offer = offer_of(p.dst);
    refuses(p.src, g_byte_array_ref(offer), MIG_CAUSE_OFFER_NONCE);
    accepts(other, offer);
    machine_free(other);
    pair_free(&p);
}

/* A nonce of zeros is none, though the session begins with that. */
static void test_accept_refuses_an_offer_if_nothing_was_prepared(void)
{
    Pair p = pair_new();

    refuses(p.src, offer_of(p.dst), MIG_CAUSE_OFFER_NONCE);
    pair_free(&p);
}

static void test_prepare_replaces_the_nonce(void)
{
    Pair p = pair_new();
    Machine *other = machine_new(&machine_defaults);
    Record *first, *second;

    OK(machine_prepare(p.src, p.dst));
    OK(machine_prepare(p.src, other));
    g_assert_cmpint(memcmp(p.dst->nonce, other->nonce, 32), !=, 0);
    first = offer_of(p.dst);
    second = offer_of(other);
    refuses(p.src, first, MIG_CAUSE_OFFER_NONCE);
    accepts(p.src, second);
    machine_free(other);
    pair_free(&p);
}

/* Whatever the offer was refused for: the one that is right comes after it. */
static void test_an_accept_that_is_refused_keeps_the_nonce(void)
{
    Pair p = pair_new();
    Record *offer;

    OK(machine_prepare(p.src, p.dst));
    offer = offer_of(p.dst);
    REFUSES(p.src, MIG(p.src, MIG_ACCEPT, 0x1000, offer->len),
            RMI_ERROR_INPUT);
    for (size_t i = 0; i < offer->len; i += 13) {
        uint64_t result;

        offer->data[i] ^= 0x10;
        result = machine_accept(p.src, offer);
        g_assert_cmpint(RMI_STATUS(result), ==, RMI_ERROR_REALM);
        offer->data[i] ^= 0x10;
    }
    accepts(p.src, offer);
    g_assert_false(machine_session(p.src)->prepared.valid);
    pair_free(&p);
}

#define PREPARE_IS_REFUSED(m, cause) \
    REFUSES(m, MIG(m, MIG_PREPARE), REFUSED(cause))

static void test_only_a_realm_at_rest_prepares(void)
{
    MachineParams stays = machine_defaults;
    Pair p = pair_new();
    Record *begin, *receipt;

    PREPARE_IS_REFUSED(p.dst, MIG_CAUSE_STATE);         /* NEW */
    OK(machine_prepare(p.src, p.dst));
    begin = offer_of(p.dst);
    PREPARE_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    accepts(p.src, begin);
    PREPARE_IS_REFUSED(p.src, MIG_CAUSE_STATE);
    step_take(p.dst, begin_of(p.src));
    PREPARE_IS_REFUSED(p.src, MIG_CAUSE_STATE);
    PREPARE_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    step_round(p.src, p.dst, 1, 64);
    step_seal(p.src, p.dst);
    PREPARE_IS_REFUSED(p.src, MIG_CAUSE_STATE);
    PREPARE_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    step_run(p.dst);
    OK(machine_receipt(p.dst, &receipt));
    OK(machine_finish(p.src, receipt));
    PREPARE_IS_REFUSED(p.src, MIG_CAUSE_STATE);         /* GONE */
    OK(MIG(p.dst, MIG_PREPARE));                        /* it runs there */
    g_byte_array_unref(receipt);
    pair_free(&p);

    stays.ext_flags &= ~RMI_REALM_EXT_MIGRATION;
    p.src = source_new(&stays, 2);
    PREPARE_IS_REFUSED(p.src, MIG_CAUSE_NOT_MIGRATABLE);
    machine_free(p.src);
}

/* ---- how long ---- */

static void test_a_nonce_serves_ten_minutes(void)
{
    Pair p = pair_new();

    p.src->now = 12345;
    OK(machine_prepare(p.src, p.dst));
    p.src->now += 600;
    accepts(p.src, offer_of(p.dst));
    pair_free(&p);

    p = pair_new();
    p.src->now = 12345;
    OK(machine_prepare(p.src, p.dst));
    p.src->now += 601;
    refuses(p.src, offer_of(p.dst), MIG_CAUSE_OFFER_EXPIRED);
    /* An offer for another nonce is refused for that, whatever the time */
    machine_free(p.dst);
    p.dst = machine_new(&machine_defaults);
    refuses(p.src, offer_of(p.dst), MIG_CAUSE_OFFER_NONCE);
    /* And another nonce has its own ten minutes */
    machine_free(p.dst);
    p.dst = machine_new(&machine_defaults);
    OK(machine_prepare(p.src, p.dst));
    p.src->now += 600;
    accepts(p.src, offer_of(p.dst));
    pair_free(&p);
}

/* The two clocks have nothing to do with each other. */
static void test_an_offer_serves_ten_minutes(void)
{
    Pair p = pair_new();

    p.dst->now = 1;
    p.src->now = 1ull << 40;
    OK(machine_prepare(p.src, p.dst));
    accepts(p.src, offer_of(p.dst));
    p.src->now += 100000;
    p.dst->now += 600;
    step_take(p.dst, begin_of(p.src));
    /* What follows may take as long as it likes */
    p.dst->now += 100000;
    step_round(p.src, p.dst, 1, 64);
    step_finish(p.src, p.dst);
    pair_free(&p);

    p = pair_new();
    OK(machine_prepare(p.src, p.dst));
    accepts(p.src, offer_of(p.dst));
    p.dst->now += 601;
    fails(p.dst, begin_of(p.src), MIG_CAUSE_EXPIRED);
    OK(MIG(p.src, MIG_EXPORT_ABORT));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    pair_free(&p);
}

/* ---- who ---- */

static void test_a_key_that_the_policy_does_not_name_makes_no_offer(void)
{
    MachineParams foreign = machine_defaults;
    Pair p = pair_new();
    Record *offer, *own;

    foreign.platform_key = machine_new_key();
    machine_free(p.dst);
    p.dst = machine_new(&foreign);
    OK(machine_prepare(p.src, p.dst));
    offer = offer_of(p.dst);
    refuses(p.src, g_byte_array_ref(offer), MIG_CAUSE_PEER_SIGNATURE);
    /* It says that it is one that the policy names */
    own = g_byte_array_append(g_byte_array_new(), offer->data, offer->len);
    machine_key_point(NULL, own->data + offsetof(MigHello, platform_key));
    refuses(p.src, own, MIG_CAUSE_PEER_SIGNATURE);
    g_byte_array_unref(offer);
    g_bytes_unref(foreign.platform_key);
    pair_free(&p);
}

/*
 * A session header that has the offer's key or nonce.  An honest source would
 * have refused the offer; the destination does not rely on that.
 */
static void test_import_refuses_its_own_key_or_nonce(void)
{
    static const size_t fields[] = {
        offsetof(MigHello, public_key), offsetof(MigHello, nonce)
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        Pair p = pair_new();
        Record *offer, *begin;

        OK(machine_prepare(p.src, p.dst));
        offer = offer_of(p.dst);
        accepts(p.src, g_byte_array_ref(offer));
        begin = begin_of(p.src);
        memcpy(begin->data + fields[i], offer->data + fields[i], 32);
        fails(p.dst, begin, MIG_CAUSE_OWN_HELLO);
        g_byte_array_unref(offer);
        pair_free(&p);
    }
}

/* ---- certificates, which a policy without authorities does not read ---- */

static size_t certs_size;

static size_t give_certs(void *opaque, void *buf, size_t size)
{
    g_assert_cmpuint(size, ==, MIG_MAX_CERTIFICATES);
    memset(buf, 0xc3, certs_size);
    return certs_size;
}

static void test_certificates_travel_with_both_hellos(void)
{
    for (certs_size = 0; certs_size <= MIG_MAX_CERTIFICATES;
         certs_size += MIG_MAX_CERTIFICATES / 2) {
        Pair p = pair_new();
        Record *offer, *begin;

        p.src->rmm->ops.certificates = p.dst->rmm->ops.certificates =
            give_certs;
        OK(machine_prepare(p.src, p.dst));
        offer = offer_of(p.dst);
        for (size_t i = 0; certs_size && i < certs_size; i++) {
            g_assert_cmphex(offer->data[offer->len - 1 - i], ==, 0xc3);
        }
        g_byte_array_set_size(offer, offer->len - 1);
        REFUSES(p.src, machine_accept(p.src, offer),
                REFUSED(MIG_CAUSE_OFFER_FORMAT));
        g_byte_array_append(offer, (const uint8_t[]) { 0xc3, 0xc3 }, 2);
        REFUSES(p.src, machine_accept(p.src, offer),
                REFUSED(MIG_CAUSE_OFFER_FORMAT));
        g_byte_array_set_size(offer, offer->len - 1);
        if (!certs_size) {      /* its end is the signature's then */
            g_byte_array_unref(offer);
            machine_free(p.dst);
            p.dst = machine_new(&machine_defaults);
            OK(machine_prepare(p.src, p.dst));
            offer = offer_of(p.dst);
        }
        accepts(p.src, offer);
        begin = begin_of(p.src);
        g_assert_cmpuint(begin->len, <=, MIG_MAX_BEGIN);
        g_assert_cmpuint(machine_session(p.src)->hello.hello.certs_size, ==,
                         certs_size);
        step_take(p.dst, begin);
        step_round(p.src, p.dst, 1, 64);
        step_finish(p.src, p.dst);
        pair_free(&p);
    }
}

/* ---- whose key ---- */

/* The policy lets in three platforms: of source, destination and member */
typedef struct Club {
    Machine *src, *dst, *member;
    GBytes *keys[3];
} Club;

static Club club_new(void)
{
    MachineParams params = machine_defaults;
    Club club;

    params.policy.version = MIG_POLICY_VERSION;
    params.policy.num_anchors = 3;
    for (int i = 0; i < 3; i++) {
        club.keys[i] = machine_new_key();
        params.policy.anchors[i] = machine_anchor(club.keys[i]);
    }
    params.platform_key = club.keys[0];
    club.src = source_new(&params, 2);
    params.platform_key = club.keys[1];
    club.dst = machine_new(&params);
    params.platform_key = club.keys[2];
    club.member = machine_new(&params);
    return club;
}

static void club_free(Club *club)
{
    machine_free(club->src);
    machine_free(club->dst);
    machine_free(club->member);
    for (int i = 0; i < 3; i++) {
        g_bytes_unref(club->keys[i]);
    }
}

static void test_a_member_cannot_sign_anothers_offer(void)
{
    Club club = club_new();
    Record *offer, *relayed;

    OK(machine_prepare(club.src, club.dst));
    offer = offer_of(club.dst);
    /* Its token with a hello that still names the other platform */
    relayed = g_byte_array_append(g_byte_array_new(), offer->data,
                                  offer->len);
    step_sign_offer(club.member, relayed);
    memcpy(relayed->data + offsetof(MigHello, platform_key),
           offer->data + offsetof(MigHello, platform_key), 96);
    refuses(club.src, relayed, MIG_CAUSE_PEER_SIGNATURE);
    /* As its own, which the source takes: but the destination made another */
    relayed = g_byte_array_append(g_byte_array_new(), offer->data,
                                  offer->len);
    step_sign_offer(club.member, relayed);
    accepts(club.src, relayed);
    fails(club.dst, begin_of(club.src), MIG_CAUSE_PEER_CHALLENGE);
    OK(MIG(club.src, MIG_EXPORT_ABORT));
    g_byte_array_unref(offer);
    club_free(&club);
}

/* Likewise in the other direction */
static void test_a_member_cannot_sign_anothers_session(void)
{
    Club club = club_new();
    Record *begin, *relayed = g_byte_array_new();
    MigHelloRecord record;
    size_t hello;

    OK(machine_connect(club.src, club.dst, &begin));
    hello = machine_session(club.src)->hello.hello.size;
    memcpy(&record, begin->data, hello);
    g_assert_cmpint(session_sign(club.member->rmm, &record,
                                 &machine_session(club.dst)->offer), ==, 0);
    g_byte_array_append(relayed, (uint8_t *)&record, record.hello.size);
    g_byte_array_append(relayed, begin->data + hello, begin->len - hello);
    /* The member vouches for it, but it has not got the source's keys */
    fails(club.dst, relayed, MIG_CAUSE_AUTHENTICATION);
    g_byte_array_unref(begin);
    club_free(&club);
}

/*
 * Two RMMs on one platform, of which one is out of date, say: the platform
 * signs for both.  Each side has the payload that it saw in its keys.
 */
static void test_another_token_for_the_same_offer_gives_other_keys(void)
{
    Pair p = pair_new();
    Machine *twin = machine_new(&machine_defaults);
    Record *offer;

    twin->rmm->platform.lifecycle = 0x3000;
    OK(machine_prepare(p.src, p.dst));
    offer = offer_of(p.dst);
    step_sign_offer(twin, offer);
    accepts(p.src, offer);
    fails(p.dst, begin_of(p.src), MIG_CAUSE_AUTHENTICATION);
    machine_free(twin);
    pair_free(&p);
}

#define TEST(name) g_test_add_func("/mig-offers/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(accept_refuses_an_offer_for_another_realm);
    TEST(accept_refuses_an_offer_if_nothing_was_prepared);
    TEST(prepare_replaces_the_nonce);
    TEST(an_accept_that_is_refused_keeps_the_nonce);
    TEST(only_a_realm_at_rest_prepares);
    TEST(a_nonce_serves_ten_minutes);
    TEST(an_offer_serves_ten_minutes);
    TEST(a_key_that_the_policy_does_not_name_makes_no_offer);
    TEST(import_refuses_its_own_key_or_nonce);
    TEST(certificates_travel_with_both_hellos);
    TEST(a_member_cannot_sign_anothers_offer);
    TEST(a_member_cannot_sign_anothers_session);
    TEST(another_token_for_the_same_offer_gives_other_keys);
    g_test_add_func("/mig-offers/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
