/*
 * A kernel that fails, at every call in turn
 *
 * Purpose: make the n-th ioctl of a run fail, for each n and all three runs
 * (runs.h).  It returns EINTR, EAGAIN once or always, EBUSY or ENOMEM, or does
 * only a part of the request, or finds no memory for the record that it gives.
 * After EINTR, a single EAGAIN, a part or one record without memory the run has
 * to succeed.  After another failure it has to succeed, or to end with an
 * error that names the ioctl.  It leaves nothing behind in any case.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "runs.h"

typedef struct Injection {
    const char *name;
    int error;
    bool for_ever;
    bool partly;
    bool fault;
    bool harmless;              /* the run has to end well */
} Injection;

static const Injection injections[] = {
    { "EINTR", EINTR, .harmless = true },
    { "EAGAIN", EAGAIN, .harmless = true },
    { "EAGAIN for ever", EAGAIN, .for_ever = true },
    { "EBUSY", EBUSY },
    { "ENOMEM", ENOMEM },
    { "a part", .partly = true, .harmless = true },
    { "a part for ever", .partly = true, .for_ever = true, .harmless = true },
    { "no memory for a record", .fault = true, .harmless = true },
    { "no memory for records", .fault = true, .for_ever = true },
};

typedef struct Injector {
    const Injection *what;
    unsigned at;                /* number of the ioctl */
    unsigned last;              /* number of the last ioctl so far */
    const char *name;           /* of the one at @at */
    int64_t request;            /* for ever: of this ioctl only */
} Injector;

static bool is_hit(const Injector *in, const DoubleCall *call)
{
    return call->number == in->at ||
           (in->what->for_ever && call->number > in->at &&
            g_str_equal(call->name, in->name));
}

static void inject(DoubleCall *call, bool after, void *opaque)
{
    Injector *in = opaque;

    in->last = call->number;
    if (after || !in->at) {
        return;
    }
    if (call->number == in->at) {
        in->name = call->name;
    }
    if (is_hit(in, call)) {
        call->ret = -in->what->error;
        call->partly = in->what->partly;
        call->fault = in->what->fault;
    }
}

static unsigned tried;

/* The names of a run's ioctls, in order. */
static GPtrArray *names;

static void keep_name(DoubleCall *call, bool after, void *opaque)
{
    if (!after) {
        g_ptr_array_add(names, (void *)call->name);
    }
}

static bool can_do_a_part(const char *name)
{
    static const char *const those[] = {
        "KVM_ARM_RMI_POPULATE", "KVM_CC_OWED_PAGES",
        "KVM_ARM_MTE_COPY_TAGS", NULL
    };

    return g_strv_contains(those, name);
}

static bool can_give_a_record(const char *name)
{
    static const char *const those[] = {
        "KVM_CC_MIGRATE", "KVM_CC_EXPORT_PAGES", NULL
    };

    return g_strv_contains(those, name);
}

static bool applies(const Injection *what, const char *name)
{
    return what->partly ? can_do_a_part(name) :
           what->fault ? can_give_a_record(name) :
           /* Of any VM's, and it has no such answer */
           what->error != EAGAIN || !g_str_equal(name, "KVM_ARM_MTE_COPY_TAGS");
}

static void try_one(const Run *base, const Injection *what, unsigned at)
{
    Injector in = { .what = what, .at = at };
    Run run = *base;
    Error *err = NULL;
    bool ok;

    run.hook = inject;
    run.opaque = &in;
    ok = run_counted(&run, tried > 0, &err);
    tried++;
    if (!ok && (what->harmless || !strstr(error_get_pretty(err), in.name))) {
        g_error("%s on %s, %s at ioctl %u (%s): %s", run.name, run.kernel,
                what->name, at, in.name, error_get_pretty(err));
    }
    error_free(err);
}

static void test_inject(const void *opaque)
{
    Run run = *(const Run *)opaque;
    unsigned before = tried;

    names = g_ptr_array_new();
    run.hook = keep_name;
    g_assert_true(run_counted(&run, false, &error_abort));
    for (size_t i = 0; i < ARRAY_SIZE(injections); i++) {
        for (unsigned n = 0; n < names->len; n++) {
            if (applies(&injections[i], g_ptr_array_index(names, n))) {
                try_one(&run, &injections[i], n + 1);
            }
        }
    }
    g_test_message("%u injections at %u ioctls", tried - before, names->len);
    g_ptr_array_unref(names);
}

static const Run runs[] = {
    { "life", "v10", 64 * KiB, run_life },
    { "life", "v12", 4 * KiB, run_life },
    { "life", "v16", 16 * KiB, run_life },
    { "source", "v10", 4 * KiB, run_source },
    { "source", "v16", 4 * KiB, run_source },
    { "destination", "v10", 64 * KiB, run_destination },
    { "destination", "v16", 16 * KiB, run_destination },
};

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    runs_init();
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        g_autofree char *name = g_strdup_printf(
            "/kvm-double/inject/a_%s_on_%s_survives_or_says_why",
            runs[i].name, runs[i].kernel);

        g_test_add_data_func(name, &runs[i], test_inject);
    }
    ret = g_test_run();
    runs_end();
    return ret;
}
