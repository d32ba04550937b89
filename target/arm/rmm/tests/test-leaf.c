/*
 * What an entry of a table may become, by which call (rtt-leaf.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "rtt-desc.h"
#include "rtt-leaf.h"

/* U and A: UNASSIGNED and ASSIGNED; e, r, d: RIPAS; n, N: the host's half. */
static const char *const letters[LEAF_STATES] = {
    [LEAF_EMPTY] = "Ue", [LEAF_RAM] = "Ur", [LEAF_DESTROYED] = "Ud",
    [LEAF_ASSIGNED_EMPTY] = "Ae", [LEAF_ASSIGNED_RAM] = "Ar",
    [LEAF_ASSIGNED_DESTROYED] = "Ad", [LEAF_NS] = "Un",
    [LEAF_ASSIGNED_NS] = "An", [LEAF_TABLE] = "T",
};

static const char *const call_names[LEAF_CALLS] = {
    [BY_INIT_RIPAS] = "init", [BY_SET_RIPAS] = "set",
    [BY_DATA_CREATE] = "create", [BY_DATA_CREATE_UNKNOWN] = "unknown",
    [BY_DATA_DESTROY] = "destroy", [BY_MAP_UNPROTECTED] = "map",
    [BY_UNMAP_UNPROTECTED] = "unmap", [BY_RTT_CREATE] = "unfold",
    [BY_RTT_DESTROY] = "cut", [BY_RTT_FOLD] = "fold",
    [BY_IMPORT_PAGE] = "page", [BY_IMPORT_DROP] = "drop",
    [BY_IMPORT_RIPAS] = "map-ripas",
};

/* RMM 1.0, B4.3 (the success conditions of each call), edge by edge. */
static const char oracle[] =
    " init:Ue>Ur init:Ur>Ur init:Ud>Ur"
    " set:Ue>Ur set:Ur>Ue set:Ud>Ur set:Ud>Ue"
    " set:Ae>Ar set:Ar>Ae set:Ad>Ar set:Ad>Ae"
    " create:Ue>Ar create:Ur>Ar create:Ud>Ar"
    " unknown:Ue>Ae unknown:Ur>Ar unknown:Ud>Ad"
    " destroy:Ae>Ue destroy:Ar>Ud destroy:Ad>Ud"
    " map:Un>An unmap:An>Un"
    " unfold:Ue>T unfold:Ur>T unfold:Ud>T unfold:Ae>T unfold:Ar>T"
    " unfold:Ad>T unfold:Un>T unfold:An>T"
    " cut:T>Ud cut:T>Un"
    " fold:T>Ue fold:T>Ur fold:T>Ud fold:T>Ae fold:T>Ar fold:T>Ad"
    " fold:T>Un fold:T>An"
    " page:Ue>Ar page:Ur>Ar page:Ud>Ar"
    " drop:Ae>Ue drop:Ae>Ur drop:Ae>Ud drop:Ar>Ue drop:Ar>Ur drop:Ar>Ud"
    " drop:Ad>Ue drop:Ad>Ur drop:Ad>Ud"
    " map-ripas:Ue>Ur map-ripas:Ue>Ud map-ripas:Ur>Ue map-ripas:Ur>Ud"
    " map-ripas:Ud>Ue map-ripas:Ud>Ur map-ripas:Ae>Ar map-ripas:Ae>Ad"
    " map-ripas:Ar>Ae map-ripas:Ar>Ad map-ripas:Ad>Ae map-ripas:Ad>Ar ";

static bool in_oracle(LeafCall by, LeafState from, LeafState to)
{
    g_autofree char *edge = g_strdup_printf(" %s:%s>%s ", call_names[by],
                                            letters[from], letters[to]);

    return strstr(oracle, edge);
}

static void every_change_by_every_call_is_as_the_text_says(void)
{
    unsigned by, from, to, edges = 0, spaces = 0;
    const char *p;

    for (by = 0; by < LEAF_CALLS; by++) {
        for (from = 0; from < LEAF_STATES; from++) {
            for (to = 0; to < LEAF_STATES; to++) {
                bool allowed = leaf_transition_allowed(by, from, to);

                g_assert_cmpint(allowed, ==, in_oracle(by, from, to));
                edges += allowed;
            }
        }
    }
    for (p = oracle; *p; p++) {
        spaces += *p == ' ';
    }
    g_assert_cmpuint(edges, ==, spaces - 1);    /* no edge was misspelt */
    g_assert_false(leaf_transition_allowed(LEAF_CALLS, LEAF_NS, LEAF_NS));
    g_assert_false(leaf_transition_allowed(0, LEAF_STATES, LEAF_RAM));
    g_assert_false(leaf_transition_allowed(0, LEAF_RAM, LEAF_STATES));
}

/* RMM 1.0, A5.4: what the host can do to an active Realm by itself. */
static void no_call_of_the_host_alone_gives_empty_or_ram(void)
{
    static const LeafCall host[] = {
        BY_DATA_CREATE_UNKNOWN, BY_DATA_DESTROY, BY_RTT_CREATE,
        BY_RTT_DESTROY, BY_MAP_UNPROTECTED, BY_UNMAP_UNPROTECTED,
    };
    unsigned i, from, to;

    for (i = 0; i < G_N_ELEMENTS(host); i++) {
        for (from = LEAF_EMPTY; from <= LEAF_ASSIGNED_DESTROYED; from++) {
            for (to = LEAF_EMPTY; to <= LEAF_ASSIGNED_DESTROYED; to++) {
                if (leaf_transition_allowed(host[i], from, to) &&
                    from % 3 != to % 3) {
                    g_assert_cmpuint(to % 3, ==, LEAF_DESTROYED);
                }
            }
        }
    }
}

static void descriptors_have_the_state_they_were_made_with(void)
{
    const RmmRealm realm = { 0 };
    int level, ripas;

    for (level = 1; level <= 3; level++) {
        for (ripas = 0; ripas < 3; ripas++) {
            g_assert_cmpint(leaf_state(desc_unassigned(ripas), level), ==,
                            LEAF_EMPTY + ripas);
            g_assert_cmpint(leaf_state(desc_assigned(&realm, 0x80000000,
                                                     ripas, level), level),
                            ==, LEAF_ASSIGNED_EMPTY + ripas);
        }
        g_assert_cmpint(leaf_state(DESC_NS, level), ==, LEAF_NS);
        g_assert_cmpint(leaf_state(desc_assigned_ns(&realm, 0x800000d8,
                                                    level), level), ==,
                        LEAF_ASSIGNED_NS);
        g_assert_cmpint(leaf_state(0x80000000 | DESC_TABLE, level), ==,
                        level < 3 ? LEAF_TABLE : LEAF_ASSIGNED_RAM);
    }
}

static void host_sets_ram(void)
{
    uint64_t entry = desc_unassigned(RTT_EMPTY);

    leaf_set(&entry, 3, desc_unassigned(RTT_RAM), BY_DATA_DESTROY);
}

static void the_setter_stops_with_the_rule(void)
{
    g_test_trap_subprocess("/rmm/leaf/subprocess/host-sets-ram", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*rtt-leaf.h: call 4 takes no entry from "
                              "state 0 to 1*");
}

/* It made the leaf dirty: not what was read is replaced. */
static void a_mark_in_between_is_noticed(void)
{
    const RmmRealm realm = { 0 };
    uint64_t dirty = desc_assigned(&realm, 0x80000000, RTT_RAM, 3);
    uint64_t entry = dirty, old = dirty & ~DESC_S2AP_W;

    g_assert_false(leaf_replace(&entry, &old, 3, desc_unassigned(RTT_EMPTY),
                                BY_IMPORT_DROP));
    g_assert_cmphex(old, ==, dirty);
    g_assert_cmphex(entry, ==, dirty);
    g_assert_true(leaf_replace(&entry, &old, 3, desc_unassigned(RTT_EMPTY),
                               BY_IMPORT_DROP));
    g_assert_cmphex(entry, ==, 0);
}

#define TEST(name) g_test_add_func("/rmm/leaf/" #name, name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/leaf/subprocess/host-sets-ram", host_sets_ram);
    TEST(every_change_by_every_call_is_as_the_text_says);
    TEST(no_call_of_the_host_alone_gives_empty_or_ram);
    TEST(descriptors_have_the_state_they_were_made_with);
    TEST(the_setter_stops_with_the_rule);
    TEST(a_mark_in_between_is_noticed);
    return g_test_run();
}
