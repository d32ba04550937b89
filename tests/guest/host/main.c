/*
 * The bare host that judges an RMM by its calls: one line a case, sums, and
 * figures (see test.h)
 *
 * -fw_cfg name=opt/host/KEY,string=TEXT: filter and group choose cases (test.h),
 * list prints their names.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

/* A case that passed has given back everything. */
void test_clean_up(bool passed)
{
    unsigned left = granules_delegated();

    alarm_off();
    for (unsigned n = 0; n < 16; n++) {
        gic_take();
    }
    realm_end_all();
    granules_forget();
    if (passed) {
        EXPECT(left, 0, "granules that are delegated at the end");
    }
}

static void print_figures(uint64_t ms)
{
    print("figures: ");
    print_number(figures.calls);
    print(" calls, ");
    print_number(figures.entries);
    print(" entries, ");
    print_number(figures.realms);
    print(" Realms, ");
    print_number(ms);
    print(" ms\n");
}

void host_main(void)
{
    static char filter[512], group[64], list[8];
    const struct selection selection = { filter, group };
    uint64_t begin = ticks();

    parameter("filter", filter, sizeof(filter) - 1);
    parameter("group", group, sizeof(group) - 1);
    if (parameter("list", list, sizeof(list) - 1)) {
        test_list(&selection);
        return;
    }
    cpus_on();
    test_run(&selection);
    print_figures((ticks() - begin) / (READ(cntfrq_el0) / 1000));
}
