/*
 * The contract of RealmBackendOps: the test program
 *
 * Purpose: make a test of each case, in the order of the files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

static void run_case(gconstpointer opaque)
{
    const Case *one = opaque;

    transcript_begin(one->name);
    one->run();
}

static void add_cases(const char *variant, const Case *cases)
{
    for (; cases->name; cases++) {
        g_autofree char *path = g_strdup_printf("/contract/%s/%s", variant,
                                                cases->name);

        g_test_add_data_func(path, cases, run_case);
    }
}

int contract_main(int argc, char **argv, const ContractHarness *harness,
                  const char *variant)
{
    const char *path = getenv("CONTRACT_TRANSCRIPT");
    int status;

    signal(SIGPIPE, SIG_IGN);           /* machine.c says who died */
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    machine_init(harness);
    if (path) {
        transcript_open(path);
    }
    add_cases(variant, life_cases);
    add_cases(variant, memory_cases);
    add_cases(variant, dirty_cases);
    add_cases(variant, source_cases);
    add_cases(variant, destination_cases);
    add_cases(variant, streams_cases);
    add_cases(variant, walk_cases);
    status = g_test_run();
    transcript_close();
    return status;
}
