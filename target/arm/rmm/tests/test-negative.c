/*
 * Every call that must be refused is refused as it must be, and changes
 * nothing
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "negative.h"
#include "negative-labels.h"

static void run_row(World *w, const NegativeCommand *c,
                    const NegativeRow *row)
{
    size_t i;

    c->base(w);
    for (i = 0; i < G_N_ELEMENTS(row->piece) && row->piece[i].fn; i++) {
        row->piece[i].fn(w, row->piece[i].a, row->piece[i].b);
    }
    world_refused(w, c, row->x0, row->label);
    if (row->has_top) {
        g_assert_cmphex(w->host.x[c->outputs], ==, row->top);
    }
    world_free(w);
}

/* Else its rows could be refused for another reason than theirs. */
static void the_base_succeeds(World *w, const NegativeCommand *c)
{
    c->base(w);
    world_accepted(w, c, "base");
    world_free(w);
}

static void run_command(gconstpointer data)
{
    const NegativeCommand *c = data;
    size_t i, of_suite = 0;

    the_base_succeeds(world_new(), c);
    the_base_succeeds(world_new_lpa2(), c);
    for (i = 0; i < c->num_rows; i++) {
        run_row(world_new(), c, &c->rows[i]);
        if (!c->rows[i].without_lpa2) {
            run_row(world_new_lpa2(), c, &c->rows[i]);
        }
        of_suite += c->rows[i].label[0] != '+';
    }
    g_test_message("%s: %zu labels of the suite, %zu more rows", c->name,
                   of_suite, c->num_rows - of_suite);
}

static uint64_t rmi_result(const char *name)
{
    static const char *const status[] = {
        "SUCCESS", "INPUT", "REALM", "REC", "RTT",
    };
    g_auto(GStrv) part = g_strsplit(name, "/", 2);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(status); i++) {
        if (!strcmp(part[0], status[i])) {
            return RMI_RESULT(i, part[1] ? part[1][0] - '0' : 0);
        }
    }
    g_assert_cmpstr(part[0], ==, "RTT_AUX");    /* not in RMM 1.0 */
    return 0;
}

/* What stands behind the = in the list; ERROR_INPUT of RMI and RSI is 1. */
static uint64_t result_of(const char *name)
{
    if (!name) {
        return RMI_ERROR_INPUT;
    }
    if (!strcmp(name, "INVALID_PARAMS")) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (!strcmp(name, "INVALID_ADDRESS")) {
        return PSCI_INVALID_ADDRESS;
    }
    if (!strcmp(name, "ALREADY_ON")) {
        return PSCI_ALREADY_ON;
    }
    return rmi_result(name);
}

/* "command label" -> how many there should be, less how many there are. */
static GHashTable *balance;

static void count_row(const char *command, const char *label, uint64_t x0,
                      int n)
{
    g_autofree char *key = g_strdup_printf("%s %s, X0 0x%"
                                           G_GINT64_MODIFIER "x", command,
                                           label, x0);
    int before = GPOINTER_TO_INT(g_hash_table_lookup(balance, key));

    g_hash_table_insert(balance, g_steal_pointer(&key),
                        GINT_TO_POINTER(before + n));
}

/* "label*N=RESULT"; returns N. */
static unsigned count_token(const char *command, const char *token)
{
    g_auto(GStrv) result = g_strsplit(token, "=", 2);
    g_auto(GStrv) label = g_strsplit(result[0], "*", 2);
    unsigned n = label[1] ? label[1][0] - '0' : 1;

    count_row(command, label[0], result_of(result[1]), n);
    return n;
}

/* Returns how many labels the list has. */
static unsigned count_suite(void)
{
    unsigned all = 0;
    size_t i;
    char **t;

    for (i = 0; i < G_N_ELEMENTS(suite_labels); i++) {
        g_auto(GStrv) tokens = g_strsplit(suite_labels[i].labels, " ", -1);
        unsigned n = 0;

        for (t = tokens; *t; t++) {
            n += count_token(suite_labels[i].command, *t);
        }
        g_assert_cmpuint(n, ==, suite_labels[i].count);
        all += n;
    }
    return all;
}

static unsigned count_exceptions(void)
{
    unsigned all = 0;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(suite_exceptions); i++) {
        const char *label = suite_exceptions[i].label;

        count_row(suite_exceptions[i].command, label,
                  strcmp(label, "aux_live") ? RMI_ERROR_INPUT : 0,
                  -(int)suite_exceptions[i].count);
        all += suite_exceptions[i].count;
    }
    return all;
}

/* Returns how many rows there are in all. */
static unsigned count_rows(const NegativeCommand *c, size_t num)
{
    unsigned all = 0;
    size_t i;

    for (; num--; c++) {
        all += c->num_rows;
        for (i = 0; i < c->num_rows; i++) {
            if (c->rows[i].label[0] != '+') {
                count_row(c->name, c->rows[i].label, c->rows[i].x0, -1);
            }
        }
    }
    return all;
}

static void each_label_of_the_suite_has_its_rows(void)
{
    unsigned labels, left_out, rows;
    GHashTableIter iter;
    gpointer key, left;

    balance = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    labels = count_suite();
    left_out = count_exceptions();
    rows = count_rows(rmi_commands, num_rmi_commands) +
           count_rows(rsi_commands, num_rsi_commands);
    g_hash_table_iter_init(&iter, balance);
    while (g_hash_table_iter_next(&iter, &key, &left)) {
        if (left) {
            g_test_message("%s: %d rows too few", (char *)key,
                           GPOINTER_TO_INT(left));
            g_test_fail();
        }
    }
    g_test_message("%u labels of %zu commands, %u of them not of RMM 1.0; "
                   "%u rows of %zu commands", labels,
                   G_N_ELEMENTS(suite_labels), left_out, rows,
                   num_rmi_commands + num_rsi_commands);
    g_hash_table_unref(balance);
}

static void add_commands(const NegativeCommand *c, size_t num)
{
    for (; num--; c++) {
        g_autofree char *path = g_strdup_printf("/rmm/negative/%s", c->name);

        g_test_add_data_func(path, c, run_command);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/negative/each_label_of_the_suite_has_its_rows",
                    each_label_of_the_suite_has_its_rows);
    add_commands(rmi_commands, num_rmi_commands);
    add_commands(rsi_commands, num_rsi_commands);
    return g_test_run();
}
