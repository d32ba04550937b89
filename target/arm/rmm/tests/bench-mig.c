/*
 * How fast memory leaves and arrives: GiB/s of pages per second of CPU time
 *
 *     bench-mig [SECONDS [STREAMS [MIB]]]
 *
 * It measures export, then import, without the copy between the two machines.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mig-machine.h"

typedef struct Bench {
    Machine *src, *dst;
    GArray *ipas;
    unsigned stream, streams;
    double export_time, import_time;
    uint64_t pages;
} Bench;

static void check_result(uint64_t result)
{
    if (result != RMI_SUCCESS) {
        fprintf(stderr, "refused: %#lx\n", (unsigned long)result);
        exit(1);
    }
}

/* Of this thread: others may use the machine as well */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Every streams-th bundle of the round */
static void *run_stream(void *opaque)
{
    Bench *b = opaque;
    const uint64_t blob = NS_BLOB(b->stream), list = NS_LIST(b->stream);
    const uint64_t *ipas = (const uint64_t *)b->ipas->data;
    const guint step = MIG_MAX_PAGES;

    for (guint i = b->stream * step; i < b->ipas->len;
         i += b->streams * step) {
        guint n = MIN(step, b->ipas->len - i);
        double t0, t1, t2;
        uint64_t out[4];

        memcpy(machine_ns(b->src, list), ipas + i, n * 8);
        t0 = cpu_seconds();
        check_result(MIG_OUT(b->src, out, MIG_EXPORT_MEMORY, list, n, blob,
                             MIG_MAX_BUNDLE, b->stream));
        t1 = cpu_seconds();
        b->export_time += t1 - t0;
        b->pages += out[1];

        memcpy(machine_ns(b->dst, blob), machine_ns(b->src, blob), out[0]);
        memset(machine_ns(b->dst, list), 0, n * 8);
        t1 = cpu_seconds();
        check_result(MIG(b->dst, MIG_IMPORT_MEMORY, blob, out[0], list, n));
        t2 = cpu_seconds();
        b->import_time += t2 - t1;
    }
    return NULL;
}

static void first_round(Machine *src, Machine *dst)
{
    GArray *ipas = machine_collect(src);

    for (guint i = 0; i < ipas->len; i += MIG_MAX_PAGES) {
        Record *r = machine_send_pages(src,
                                       &g_array_index(ipas, uint64_t, i),
                                       MIN(MIG_MAX_PAGES, ipas->len - i), 0);

        check_result(machine_receive(dst, r));
        g_byte_array_unref(r);
    }
    g_array_unref(ipas);
}

static void next_epoch(Machine *src, Machine *dst)
{
    uint64_t result;
    Record *r = machine_export(src, MIG_EXPORT_EPOCH, 0, &result);

    check_result(result);
    check_result(machine_receive(dst, r));
    g_byte_array_unref(r);
}

static double one_round(Bench *all, unsigned streams, double *collect)
{
    GThread *threads[MIG_MAX_STREAMS];
    Machine *src = all[0].src;
    gint64 t = g_get_monotonic_time();
    GArray *ipas = machine_collect(src);

    *collect += (g_get_monotonic_time() - t) * 1e-6;
    t = g_get_monotonic_time();
    for (unsigned i = 0; i < streams; i++) {
        all[i].ipas = ipas;
        threads[i] = g_thread_new("stream", run_stream, &all[i]);
    }
    for (unsigned i = 0; i < streams; i++) {
        g_thread_join(threads[i]);
    }
    g_array_unref(ipas);
    return (g_get_monotonic_time() - t) * 1e-6;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2, collect = 0, wall = 0;
    unsigned streams = argc > 2 ? atoi(argv[2]) : 1;
    uint64_t mib = argc > 3 ? atoi(argv[3]) : 128;
    MachineParams params = machine_defaults;
    Bench all[MIG_MAX_STREAMS] = { 0 };
    uint64_t pages = mib << 8, sent = 0, rounds = 0;
    double out_time = 0, in_time = 0;
    GRand *rand = g_rand_new_with_seed(1);
    Record *begin;

    streams = MAX(1, MIN(streams, MIG_MAX_STREAMS));
    params.granules = pages + pages / 512 + 100;
    for (unsigned i = 0; i < MIG_MAX_STREAMS; i++) {
        all[i].src = i ? all[0].src : machine_new(&params);
        all[i].dst = i ? all[0].dst : machine_new(&params);
        all[i].stream = i;
        all[i].streams = streams;
    }
    for (uint64_t i = 0; i < pages; i++) {
        machine_add_page(all[0].src, i * RMM_GRANULE_SIZE);
        machine_scribble(all[0].src, i * RMM_GRANULE_SIZE, rand);
    }
    machine_activate(all[0].src);
    check_result(machine_connect(all[0].src, all[0].dst, &begin));
    check_result(machine_receive(all[0].dst, begin));
    first_round(all[0].src, all[0].dst);

    while (wall < seconds) {
        next_epoch(all[0].src, all[0].dst);
        for (uint64_t i = 0; i < pages; i++) {
            machine_page(all[0].src, i * RMM_GRANULE_SIZE, true, NULL);
        }
        wall += one_round(all, streams, &collect);
        rounds++;
    }
    for (unsigned i = 0; i < streams; i++) {
        sent += all[i].pages;
        out_time += all[i].export_time;
        in_time += all[i].import_time;
    }
    printf("%u stream(s), %lu MiB with tags, %lu rounds: per core export "
           "%.2f GiB/s, import %.2f GiB/s; both by the clock %.2f GiB/s; "
           "collect %.1f ns a page\n", streams, (unsigned long)mib,
           (unsigned long)rounds, sent / 262144.0 / out_time,
           sent / 262144.0 / in_time, sent / 262144.0 / wall,
           collect * 1e9 / sent);
    g_byte_array_unref(begin);
    machine_free(all[0].src);
    machine_free(all[0].dst);
    g_rand_free(rand);
    return 0;
}
