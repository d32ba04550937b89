/*
 * Options and commands of a Realm: what is refused, and what is not
 *
 * Purpose: every option that a Realm cannot have ends the program with exit
 * status 1 and one line that names the option and the remedy, before anything
 * runs; every command that does not fit is refused in the same words, and the
 * machine goes on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "realm-refusal.h"

#define MACHINE "-machine virt,confidential-guest-support=rme0"
#define OBJECT " -object rme-guest,id=rme0"
#define REALM MACHINE OBJECT

/*
 * @args, which stand for an error about @option that proposes @remedy; whoever
 * follows that has @instead (if it can be said here), which starts.
 */
typedef struct BadOptions {
    const char *claim;
    const char *args;
    const char *option;
    const char *remedy;
    const char *instead;
} BadOptions;

#define BYTES_63 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define BYTES_64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g" \
                 "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="

#define DIGITS_63 "000102030405060708090a0b0c0d0e0f" \
                  "101112131415161718191a1b1c1d1e1"

#define NULL_DISK " -drive if=none,id=d,driver=null-co,size=1M "

static const BadOptions bad_options[] = {
    { "an-object-that-no-machine-uses",
      "-machine virt" OBJECT,
      "rme-guest", "add confidential-guest-support=rme0 to -machine virt",
      REALM },
    { "an-object-beside-another-machine",
      "-machine none" OBJECT,
      "rme-guest", "add confidential-guest-support=rme0 to -machine virt",
      REALM },
    { "two-objects",
      REALM " -object rme-guest,id=rme1",
      "rme-guest", "give only one",
      REALM },
    { "secure",
      MACHINE ",secure=on" OBJECT,
      "EL3", "leave secure=on out",
      REALM },
    { "virtualization",
      MACHINE ",virtualization=on" OBJECT,
      "EL2", "leave virtualization=on out",
      REALM },
    { "gicv2",
      MACHINE ",gic-version=2" OBJECT,
      "GIC", "use gic-version=3",
      MACHINE ",gic-version=3" OBJECT },
    { "gicv4-and-the-virtualization-that-it-wants",
      MACHINE ",gic-version=4,virtualization=on" OBJECT,
      "GIC", "use gic-version=3",
      MACHINE ",gic-version=3" OBJECT },
    { "an-aarch32-cpu",
      REALM " -cpu cortex-a15",
      "cortex-a15", "use -cpu max",
      REALM " -cpu max" },
    { "a-streaming-vector-length-of-a-cpu",
      REALM " -cpu max,sme256=on",
      "no SME", "leave sme256=on out of -cpu",
      REALM " -cpu max" },
    { "sme-of-a-cpu",
      REALM " -cpu max,sme=on",
      "no SME", "leave sme=on out of -cpu",
      REALM " -cpu max" },
    { "dtb-randomness",
      MACHINE ",dtb-randomness=on" OBJECT,
      "device tree", "leave dtb-randomness=on, or dtb-kaslr-seed=on, out",
      REALM },
    { "dtb-kaslr-seed",
      MACHINE ",dtb-kaslr-seed=on" OBJECT,
      "device tree", "leave dtb-randomness=on, or dtb-kaslr-seed=on, out",
      REALM },
    { "an-smmu",
      MACHINE ",iommu=smmuv3" OBJECT,
      "no SMMU", "leave iommu=smmuv3 out",
      REALM },
    { "icount",
      REALM " -icount shift=6",
      "count instructions", "leave -icount out",
      REALM },
    { "adaptive-icount",
      REALM " -icount shift=auto",
      "count instructions", "leave -icount out",
      REALM },
    { "recording",
      REALM " -icount shift=auto,rr=record,rrfile=/dev/null",
      "count instructions", "leave -icount out",
      REALM },
    { "semihosting",
      REALM " -semihosting",
      "semihosting", "leave -semihosting out",
      REALM },
    { "configured-semihosting",
      REALM " -semihosting-config enable=on,target=native",
      "semihosting", "leave -semihosting out",
      REALM },
    { "memory-tags-without-the-extension",
      MACHINE ",mte=on" OBJECT,
      "no memory tags", "leave mte=on out of -machine, or, with an RMM that "
      "has this extension, add mte=on to rme-guest as well",
      MACHINE ",mte=on" OBJECT ",mte=on" },
    { "memory-in-place-without-kvm",
      REALM ",convert-in-place=on",
      "convert-in-place=on is for KVM", "leave it out",
      REALM ",convert-in-place=off" },
    { "a-memory-backend-of-kvm-without-kvm",
      REALM " -object memory-backend-guest-memfd,id=ram,size=128M",
      "only KVM makes such memory", "another memory backend",
      REALM " -object memory-backend-memfd,id=ram,size=128M" },
    { "a-migration-policy-without-migration",
      REALM ",migration-life-cycle=secured",
      "migration-life-cycle", "give migration=on as well",
      REALM ",migration=on,migration-life-cycle=secured" },
    { "a-missing-file-of-migration-rules",
      REALM ",migration=on,migration-rules=/does/not/exist",
      "/does/not/exist", "give a file with rules" },
    { "a-file-without-migration-rules",
      REALM ",migration=on,migration-rules=/dev/null",
      "no rule in /dev/null", "give 'signer TYPE ID >= VERSION'" },
    { "a-missing-file-of-trust-anchors",
      REALM ",migration=on,migration-trust-anchors=/does/not/exist",
      "/does/not/exist", "give a file with keys in PEM" },
    { "a-file-without-trust-anchors",
      REALM ",migration=on,migration-trust-anchors=/dev/null",
      "no key in /dev/null", "give public keys or certificates in PEM" },
    { "a-short-implementation-id",
      REALM ",migration=on,migration-implementation=00ff",
      "migration-implementation", "give 64 hexadecimal digits",
      REALM ",migration=on,migration-implementation=" DIGITS_63 "f" },
    { "an-implementation-id-with-other-digits",
      REALM ",migration=on,migration-implementation=" DIGITS_63 "g",
      "migration-implementation", "give 64 hexadecimal digits",
      REALM ",migration=on,migration-implementation=" DIGITS_63 "f" },
    { "the-tag-extension-without-memory-tags",
      REALM ",mte=on",
      "mte=on", "add mte=on to -machine",
      MACHINE ",mte=on" OBJECT ",mte=on" },
    { "a-cpu-with-too-few-address-bits",
      REALM " -cpu cortex-a53",
      "41 bits, but the CPU has 40", "use -cpu max",
      REALM " -cpu max" },
    { "more-memory-than-the-address-bits-allow",
      MACHINE ",memory-backend=ram" OBJECT " -cpu cortex-a72 -m 9T "
      "-object memory-backend-ram,id=ram,size=9T,reserve=off",
      "45 bits, but the CPU has 44", "use -cpu max" },
    { "memory-that-grows",
      REALM " -m 128M,slots=2,maxmem=1G",
      "cannot grow", "leave maxmem and slots out of -m",
      REALM " -m 128M" },
    { "memory-of-numa-nodes",
      REALM " -m 128M -object memory-backend-ram,id=m0,size=128M "
      "-numa node,memdev=m0",
      "no NUMA nodes", "leave -numa out",
      REALM " -m 128M -object memory-backend-ram,id=m0,size=128M" },
    { "a-virtio-device-that-uses-private-addresses",
      REALM NULL_DISK "-device virtio-blk-pci,drive=d,iommu_platform=off",
      "virtio-blk-pci", "leave iommu_platform=off out",
      REALM NULL_DISK "-device virtio-blk-pci,drive=d" },
    { "such-a-device-in-json",
      REALM NULL_DISK "-device '{\"driver\": \"virtio-blk-pci\", "
      "\"drive\": \"d\", \"iommu_platform\": false}'",
      "virtio-blk-pci", "leave iommu_platform=off out",
      REALM NULL_DISK "-device '{\"driver\": \"virtio-blk-pci\", "
      "\"drive\": \"d\"}'" },
    { "such-a-device-by-a-global-property",
      REALM " -global virtio-rng-device.iommu_platform=off "
      "-device virtio-rng-pci",
      "virtio-rng-device", "leave iommu_platform=off out",
      REALM " -device virtio-rng-pci" },
    { "such-a-network-card",
      REALM " -global virtio-device.iommu_platform=off -nic user",
      "virtio-net-device", "leave iommu_platform=off out",
      REALM " -nic user" },
    { "such-a-device-on-virtio-mmio",
      REALM " -device virtio-rng-device,iommu_platform=off",
      "virtio-rng-device", "leave iommu_platform=off out",
      REALM " -device virtio-rng-device" },
    { "legacy-virtio-on-virtio-mmio",
      REALM " -global virtio-mmio.force-legacy=on -device virtio-rng-device",
      "no legacy virtio", "leave virtio-mmio.force-legacy=on out",
      REALM " -device virtio-rng-device" },
    { "vmcoreinfo",
      REALM " -device vmcoreinfo",
      "no fw_cfg with DMA", "leave vmcoreinfo out",
      REALM },
    { "a-framebuffer-in-ram",
      REALM " -device ramfb",
      "no fw_cfg with DMA", "leave ramfb out",
      REALM },
    { "a-memory-device",
      REALM " -device virtio-mem-pci",
      "cannot grow", "leave virtio-mem-pci out",
      REALM },
    { "an-iommu-by-its-alias",
      REALM " -device virtio-iommu",
      "no private memory behind an IOMMU", "leave virtio-iommu out",
      REALM },
    { "a-root-bus-that-only-acpi-shows",
      REALM " -device pxb-pcie,bus_nr=128",
      "no ACPI", "leave pxb-pcie out",
      REALM " -device pcie-root-port" },
    { "a-dimm",
      REALM " -object memory-backend-ram,id=m,size=128M "
      "-device pc-dimm,memdev=m",
      "cannot grow", "leave pc-dimm out",
      REALM " -object memory-backend-ram,id=m,size=128M" },
    { "a-personalization-value-that-is-no-base64",
      REALM ",personalization-value=%%%",
      "personalization-value '%%%' is not base64", "exactly 64 bytes",
      REALM ",personalization-value=" BYTES_64 },
    { "an-empty-personalization-value",
      REALM ",personalization-value=",
      "personalization-value has 0 bytes", "exactly 64 bytes",
      REALM ",personalization-value=" BYTES_64 },
    { "a-personalization-value-of-63-bytes",
      REALM ",personalization-value=" BYTES_63,
      "personalization-value has 63 bytes", "exactly 64 bytes",
      REALM ",personalization-value=" BYTES_64 },
    { "a-personalization-value-of-65-bytes",
      REALM ",personalization-value=" BYTES_63 "AAA=",
      "personalization-value has 65 bytes", "exactly 64 bytes",
      REALM ",personalization-value=" BYTES_64 },
    { "a-snapshot-to-begin-with",
      REALM " -loadvm x",
      "nor come from one", "migrate it to another QEMU instead",
      REALM },
    { "firmware-that-is-not-there",
      REALM " -bios /does/not/exist",
      "/does/not/exist", "give the firmware's image" },
    { "empty-firmware",
      REALM " -bios /dev/null",
      "-bios /dev/null", "1 to 134217728 bytes" },
    { "a-kernel-interface-without-a-kernel",
      REALM ",kvm-abi=rmi",
      "kvm-abi=rmi is for KVM", "leave it out",
      REALM },
    { "an-unknown-kernel-interface",
      REALM ",kvm-abi=v16",
      "kvm-abi", "v16",
      REALM ",kvm-abi=auto" },
    { "a-log-without-room",
      "-m 1M " REALM ",measurement-log=on",
      "no room for measurement-log=on", "more memory",
      "-m 2M " REALM ",measurement-log=on" },
    { "an-unknown-measurement-algorithm",
      REALM ",measurement-algorithm=md5",
      "measurement-algorithm", "md5",
      REALM ",measurement-algorithm=sha256" },
};

static QTestState *start(const char *args)
{
    return qtest_initf("-accel tcg -nodefaults %s", args);
}

static void check_running(QTestState *qts)
{
    QDict *status = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'query-status'}");

    g_assert_true(qdict_get_bool(status, "running"));
    qobject_unref(status);
}

static void check_phase(QTestState *qts, const char *phase, bool holds)
{
    QDict *stats = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'query-realm-migration'}");

    g_assert_cmpstr(qdict_get_str(stats, "phase"), ==, phase);
    g_assert_cmpint(qdict_get_bool(stats, "holds"), ==, holds);
    qobject_unref(stats);
}

static void test_bad_options(const void *opaque)
{
    const BadOptions *bad = opaque;

    check_refused(bad->args, bad->option, bad->remedy);
    if (bad->instead) {
        QTestState *qts = start(bad->instead);

        check_phase(qts, "here", true);
        qtest_quit(qts);
    }
}

/* An existing file with something in it, as large as a flash bank. */
static char *flash_image(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("realm-flash-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 64 * 1024 * 1024), ==, 0);
    close(fd);
    return path;
}

static void test_flash(const void *format)
{
    g_autofree char *path = flash_image();
    g_autofree char *flash = g_strdup_printf("%s%s", (const char *)format,
                                             path);
    g_autofree char *args = g_strdup_printf(REALM " %s", flash);

    check_refused(args, "has no flash", "give its firmware with -bios");
    unlink(path);
}

/* qtest's own accelerator runs no CPU, so it runs no Realm. */
static void test_accelerator(void)
{
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -accel qtest " REALM,
        getenv("QTEST_QEMU_BINARY"));
    g_autofree char *err = NULL;
    int status;

    g_assert_true(g_spawn_command_line_sync(line, NULL, &err, &status, NULL));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    check_text(err, "accelerator", "use -accel tcg");
}

/* Machines with a life: what they answer. */

/* The command that @...  formats is refused about @option, with @remedy. */
#define CHECK_REFUSES(qts, option, remedy, ...)                         \
    do {                                                                \
        QDict *error_ = qtest_qmp_assert_failure_ref(qts, __VA_ARGS__); \
        check_text(qdict_get_str(error_, "desc"), option, remedy);      \
        qobject_unref(error_);                                          \
    } while (0)

static QDict *query_realm(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts, "{'execute': 'query-realm'}");
}

static char *get_property(QTestState *qts, const char *name)
{
    QDict *reply = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                             "{'path': %s, 'property': %s}}",
                             g_str_equal(name, "gic-version") ? "/machine"
                             : "/objects/rme0", name);
    char *value = g_strdup(qdict_get_str(reply, "return"));

    qobject_unref(reply);
    return value;
}

static void test_defaults(void)
{
    QTestState *qts = start("-S " REALM);
    QDict *info = query_realm(qts);
    g_autofree char *gic = get_property(qts, "gic-version");

    g_assert_cmpint(qdict_get_int(info, "ipa-width"), ==, 41);
    g_assert_cmpstr(qdict_get_str(info, "measurement-algorithm"), ==,
                    "sha512");
    g_assert_cmpstr(qdict_get_str(info, "backend"), ==, "tcg");
    g_assert_false(qdict_get_bool(info, "migration"));
    g_assert_false(qdict_get_bool(info, "mte"));
    g_assert_cmpstr(gic, ==, "3");
    qobject_unref(info);
    qtest_quit(qts);
}

/* What the user may choose is what the Realm gets. */
static void test_choices(void)
{
    QTestState *qts = start("-S " MACHINE ",gic-version=3,mte=on,highmem=off"
                            OBJECT ",migration=on,mte=on,"
                            "measurement-algorithm=sha256,"
                            "measurement-log=on,"
                            "personalization-value=" BYTES_64);
    QDict *info = query_realm(qts);
    g_autofree char *rpv = get_property(qts, "personalization-value");
    g_autofree char *algorithm = get_property(qts, "measurement-algorithm");

    g_assert_cmpint(qdict_get_int(info, "ipa-width"), <, 41);
    g_assert_true(qdict_get_bool(info, "migration"));
    g_assert_true(qdict_get_bool(info, "mte"));
    g_assert_cmpstr(qdict_get_str(info, "measurement-algorithm"), ==,
                    "sha256");
    g_assert_cmpstr(algorithm, ==, "sha256");
    g_assert_cmpstr(rpv, ==, BYTES_64);
    qobject_unref(info);
    qtest_quit(qts);
}

/* Is @feature of every vCPU @on? */
static void check_feature(QTestState *qts, const char *feature, bool on)
{
    QDict *reply = qtest_qmp(qts, "{'execute': 'query-cpus-fast'}");
    const QList *cpus = qdict_get_qlist(reply, "return");
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(cpus, entry) {
        QDict *cpu = qobject_to(QDict, qlist_entry_obj(entry));
        QDict *value = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments':"
                                 " {'path': %s, 'property': %s}}",
                                 qdict_get_str(cpu, "qom-path"), feature);

        g_assert_true(qdict_get_bool(value, "return") == on);
        qobject_unref(value);
    }
    qobject_unref(reply);
}

typedef struct Features {
    bool sve, sme, pmu;
} Features;

static void check_features(const char *args, Features features)
{
    QTestState *qts = start(args);

    check_feature(qts, "sve", features.sve);
    check_feature(qts, "sme", features.sme);
    check_feature(qts, "pmu", features.pmu);
    qtest_quit(qts);
}

static void test_cpu_features(void)
{
    check_features("-S -machine virt -cpu max -smp 2",
                   (Features) { .sve = true, .sme = true, .pmu = true });
    check_features("-S " REALM " -cpu max -smp 2", (Features) { });
    check_features("-S " REALM " -smp 2", (Features) { });
}

/* An explicit word of -cpu, and nothing else, gives a Realm SVE and a PMU. */
static void test_cpu_words(void)
{
    check_features("-S " REALM " -cpu max,sve=on -smp 2",
                   (Features) { .sve = true });
    check_features("-S " REALM " -cpu max,sve128=on",
                   (Features) { .sve = true });
    check_features("-S " REALM " -cpu max,sve-max-vq=2",
                   (Features) { .sve = true });
    check_features("-S " REALM " -cpu max,pmu=on -smp 2",
                   (Features) { .pmu = true });
    check_features("-S " REALM " -cpu max,sve256=off,pmu=off,sve=off,sme=off",
                   (Features) { });
}

/* What -cpu says of other features, and what it leaves out, is obeyed. */
static void test_cpu_choices(void)
{
    QTestState *qts = start("-S " REALM " -cpu max,pauth=off,lpa2=off");

    check_feature(qts, "pauth", false);
    check_feature(qts, "sve", false);
    qtest_quit(qts);

    qtest_quit(start("-S " REALM " -cpu max,sve256=off"));
    qtest_quit(start("-S " REALM " -cpu cortex-a72,pmu=off"));
    qtest_quit(start("-S " REALM " -cpu neoverse-n1,pmu=on"));
}

/* The measurement of a machine, which exists as soon as it has run. */
static char *rim(const char *args)
{
    QTestState *qts = start(args);
    QDict *info = query_realm(qts);
    char *value = g_strdup(qdict_get_str(info, "rim"));

    qobject_unref(info);
    qtest_quit(qts);
    return value;
}

static void test_measured(void)
{
    g_autofree char *plain = rim(REALM);
    g_autofree char *again = rim(REALM);
    g_autofree char *migration = rim(REALM ",migration=on");
    g_autofree char *secured = rim(REALM ",migration=on,"
                                   "migration-life-cycle=secured");
    g_autofree char *any = rim(REALM ",migration=on,"
                               "migration-life-cycle=any");
    g_autofree char *platform = rim(REALM ",migration=on,"
                                    "migration-life-cycle=platform");
    g_autofree char *required = rim(REALM ",migration=on,"
                                    "migration-compact=required");
    g_autofree char *compact = rim(REALM ",migration=on,"
                                   "migration-compact=on");
    g_autofree char *implementation = rim(REALM ",migration=on,"
        "migration-implementation=" DIGITS_63 "f");
    g_autofree char *tags = rim(MACHINE ",mte=on" OBJECT ",mte=on");
    g_autofree char *sha256 = rim(REALM ",measurement-algorithm=sha256");
    g_autofree char *rpv = rim(REALM ",personalization-value=" BYTES_64);
    g_autofree char *max = rim(REALM " -cpu max");
    g_autofree char *sve = rim(REALM " -cpu max,sve=on");
    g_autofree char *longest = rim(REALM " -cpu max,sve-max-vq=16");
    g_autofree char *shorter = rim(REALM " -cpu max,sve-max-vq=8");
    g_autofree char *pmu = rim(REALM " -cpu max,pmu=on");

    g_assert_cmpint(strlen(plain), ==, 2 * 64);
    g_assert_cmpint(strlen(sha256), ==, 2 * 32);
    g_assert_cmpstr(plain, ==, again);
    g_assert_cmpstr(plain, !=, migration);
    g_assert_cmpstr(migration, ==, platform);
    g_assert_cmpstr(migration, !=, secured);
    g_assert_cmpstr(migration, !=, any);
    g_assert_cmpstr(secured, !=, any);
    g_assert_cmpstr(compact, !=, required);
    g_assert_cmpstr(migration, !=, compact);
    g_assert_cmpstr(compact, !=, secured);
    g_assert_cmpstr(migration, !=, implementation);
    g_assert_cmpstr(plain, !=, tags);
    g_assert_cmpstr(plain, ==, max);
    g_assert_cmpstr(plain, !=, sve);
    g_assert_cmpstr(sve, ==, longest);
    g_assert_cmpstr(sve, !=, shorter);
    g_assert_cmpstr(plain, !=, pmu);
    g_assert_cmpstr(sve, !=, pmu);
    /* The value tells Realms of equal measurement apart. */
    g_assert_cmpstr(plain, ==, rpv);
}

static void test_no_measurement_before_start(void)
{
    QTestState *qts = start("-S " REALM);
    QDict *info = query_realm(qts);

    g_assert_false(qdict_haskey(info, "rim"));
    g_assert_false(qdict_haskey(info, "private-pages"));
    g_assert_false(qdict_haskey(info, "lent-pages"));
    qobject_unref(info);
    qtest_quit(qts);
}

/* No CPU runs: what is there is what was measured. */
static void test_pages_of_a_built_realm(void)
{
    QTestState *qts = start(REALM);
    QDict *info = query_realm(qts);

    g_assert_cmpint(qdict_get_int(info, "private-pages"), >, 0);
    g_assert_cmpint(qdict_get_int(info, "lent-pages"), ==, 0);
    qobject_unref(info);
    qtest_quit(qts);
}

/* VmFlags (proc(5)) of the mapping that has @address, each with a blank. */
static char *mapping_flags(QTestState *qts, uint64_t address)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", qtest_pid(qts));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t begin, end;
    bool here = false;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (size_t i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2) {
            here = begin <= address && address < end;
        } else if (here && g_str_has_prefix(lines[i], "VmFlags: ")) {
            return g_strdup(lines[i]);
        }
    }
    g_assert_not_reached();
}

/* The size of the machine's memory, which no other block of RAM has. */
#define ODD_SIZE "140M"
#define ODD_BYTES " 0x0000000008c00000 "

/*
 * With @properties of the machine's memory: does the mapping of private memory
 * have @flag?  It is the block without a name.
 */
static bool private_has(const char *properties, const char *flag)
{
    g_autofree char *args = g_strdup_printf(
        "-S " MACHINE ",memory-backend=ram" OBJECT " -m " ODD_SIZE
        " -object memory-backend-ram,id=ram,size=" ODD_SIZE "%s", properties);
    QTestState *qts = start(args);
    g_autofree char *blocks = qtest_hmp(qts, "info ramblock");
    g_auto(GStrv) lines = g_strsplit(blocks, "\n", 0);
    g_autofree char *flags = NULL;

    for (size_t i = 0; lines[i]; i++) {
        if (strstr(lines[i], ODD_BYTES) && !strstr(lines[i], " ram ")) {
            g_assert_null(flags);
            flags = mapping_flags(
                qts, strtoull(strrchr(lines[i], 'x') + 1, NULL, 16));
        }
    }
    g_assert_nonnull(flags);
    qtest_quit(qts);
    return strstr(flags, flag);
}

static void test_memory_properties(void)
{
    g_assert_false(private_has("", " nr "));
    g_assert_true(private_has(",reserve=off", " nr "));
    g_assert_false(private_has("", " dd "));
    g_assert_true(private_has(",dump=off", " dd "));
    g_assert_false(private_has(",merge=off", " mg "));
    g_assert_false(private_has(",share=on", " sh "));
}

/* A host starts it that has less memory. */
static void test_memory_without_a_reserve(void)
{
    QTestState *qts = start(MACHINE ",memory-backend=ram,mte=on" OBJECT
                            ",mte=on -m 64G -object "
                            "memory-backend-ram,id=ram,size=64G,reserve=off");

    check_running(qts);
    check_phase(qts, "here", true);
    qtest_quit(qts);
}

static void test_object_at_run_time(void)
{
    QTestState *qts = start("-S -machine virt");

    CHECK_REFUSES(qts, "rme-guest", "give the object on the command line",
                  "{'execute': 'object-add', 'arguments':"
                  " {'qom-type': 'rme-guest', 'id': 'rme0'}}");
    qtest_quit(qts);

    qts = start("-S " REALM);
    CHECK_REFUSES(qts, "rme-guest", "give only one",
                  "{'execute': 'object-add', 'arguments':"
                  " {'qom-type': 'rme-guest', 'id': 'rme1'}}");
    CHECK_REFUSES(qts, "rme0", "is in use",
                  "{'execute': 'object-del', 'arguments': {'id': 'rme0'}}");
    qobject_unref(query_realm(qts));
    qtest_quit(qts);
}

static void test_fixed_properties(void)
{
    QTestState *qts = start("-S " REALM);
    QDict *info;

    CHECK_REFUSES(qts, "rme-guest", "on the command line",
                  "{'execute': 'qom-set', 'arguments': {'path':"
                  " '/objects/rme0', 'property': 'migration',"
                  " 'value': true}}");
    CHECK_REFUSES(qts, "rme-guest", "on the command line",
                  "{'execute': 'qom-set', 'arguments': {'path':"
                  " '/objects/rme0', 'property': 'personalization-value',"
                  " 'value': %s}}", BYTES_64);
    info = query_realm(qts);
    g_assert_false(qdict_get_bool(info, "migration"));
    qobject_unref(info);
    qtest_quit(qts);
}

#define PREPARE "{'execute': 'realm-migration-prepare'}"
#define NONCE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OFFER "{'execute': 'realm-migration-offer'," \
              " 'arguments': {'nonce': '" NONCE "'}}"

static void test_no_realm(void)
{
    static const char *const commands[] = {
        "query-realm", "query-realm-migration", "realm-migration-prepare",
    };
    QTestState *qts = start("-S -machine virt");

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        CHECK_REFUSES(qts, "not a Realm", "start it with -object rme-guest",
                      "{'execute': %s}", commands[i]);
    }
    CHECK_REFUSES(qts, "not a Realm", "start it with -object rme-guest",
                  OFFER);
    CHECK_REFUSES(qts, "not a Realm", "start it with -object rme-guest",
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': 'AAAA'}}");
    qtest_quit(qts);
}

#define MIGRATE "{'execute': 'migrate'," \
                " 'arguments': {'uri': 'exec:cat >/dev/null'}}"

static void test_migration_off(void)
{
    QTestState *qts = start(REALM);

    CHECK_REFUSES(qts, "migration=off", "give rme-guest migration=on",
                  MIGRATE);
    CHECK_REFUSES(qts, "migration=off", "give rme-guest migration=on",
                  PREPARE);
    CHECK_REFUSES(qts, "migration=off", "give rme-guest migration=on",
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': 'AAAA'}}");
    check_running(qts);
    qtest_quit(qts);

    qts = start(REALM " -incoming defer");
    CHECK_REFUSES(qts, "migration=off", "give rme-guest migration=on",
                  OFFER);
    qtest_quit(qts);
}

static void check_no_snapshot(QTestState *qts, const char *command)
{
    g_autofree char *text = qtest_hmp(qts, "%s x", command);

    check_text(text, "neither be saved to a snapshot nor come from one",
               "migrate it to another QEMU instead");
}

/* Whatever else there is against it: no disk, no offer, migration=off. */
static void test_snapshots(void)
{
    static const char *const options[] = { REALM, REALM ",migration=on" };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        QTestState *qts = start(options[i]);

        check_no_snapshot(qts, "savevm");
        check_no_snapshot(qts, "loadvm");
        check_phase(qts, "here", true);
        check_running(qts);
        qtest_quit(qts);
    }
}

static void test_no_offer(void)
{
    QTestState *qts = start(REALM ",migration=on");

    CHECK_REFUSES(qts, "no destination was accepted",
                  "give realm-migration-accept the offer", MIGRATE);
    CHECK_REFUSES(qts, "does not wait for a migration",
                  "start the destination with -incoming defer",
                  OFFER);
    check_running(qts);
    qtest_quit(qts);
}

static void check_no_offer(QTestState *qts, const char *offer,
                           const char *what, const char *remedy)
{
    CHECK_REFUSES(qts, what, remedy,
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': %s}}", offer);
    CHECK_REFUSES(qts, "cannot begin its migration", "; ", MIGRATE);
}

static void test_bad_offers(void)
{
    QTestState *qts = start(REALM ",migration=on");
    const uint8_t bytes[128] = { 0 };
    g_autofree char *zero_offer = g_base64_encode(bytes, sizeof(bytes));
    const char *remedy = "use what realm-migration-offer returned";

    check_no_offer(qts, "%%%", "an offer is base64", remedy);
    check_no_offer(qts, "", "no offer", remedy);
    check_no_offer(qts, "AAAA", "no offer", remedy);
    check_no_offer(qts, zero_offer, "no offer", remedy);
    check_running(qts);
    qtest_quit(qts);
}

static void test_long_offer(void)
{
    const size_t size = 65536;
    QTestState *qts = start("-S " REALM ",migration=on");
    g_autofree uint8_t *bytes = g_malloc0(size);
    g_autofree char *offer = g_base64_encode(bytes, size);

    check_no_offer(qts, offer, "offer", "at most");
    qtest_quit(qts);
}

static void test_offer_before_start(void)
{
    QTestState *qts = start("-S " REALM ",migration=on");

    check_no_offer(qts, "AAAA", "does not exist yet", "start the machine");
    CHECK_REFUSES(qts, "does not exist yet", "start the machine", PREPARE);
    qtest_quit(qts);
}

static char *get_text(QDict *reply, const char *name)
{
    char *text = g_strdup(qdict_get_str(reply, name));

    qobject_unref(reply);
    return text;
}

/* What the source wants an offer for. */
static char *prepare(QTestState *source)
{
    return get_text(qtest_qmp_assert_success_ref(source, PREPARE), "nonce");
}

static char *make_offer(QTestState *destination, const char *nonce)
{
    return get_text(qtest_qmp_assert_success_ref(
        destination, "{'execute': 'realm-migration-offer',"
        " 'arguments': {'nonce': %s}}", nonce), "offer");
}

/* Neither command has anything to do on a machine that has its Realm. */
static void test_nothing_to_give_up(void)
{
    QTestState *qts = start(REALM ",migration=on");

    CHECK_REFUSES(qts, "is on this machine and stays", "end the source",
                  "{'execute': 'realm-migration-abort'}");
    CHECK_REFUSES(qts, "has not left this machine", "cont runs it",
                  "{'execute': 'realm-migration-resume',"
                  " 'arguments': {'token': 'AAAA'}}");
    check_phase(qts, "here", true);
    check_running(qts);
    qtest_quit(qts);
}

/* A command that saves devices, and has no migration to do it for. */
static void test_devices_are_not_saved(void)
{
    QTestState *qts = start(REALM ",migration=on");
    QDict *reply = qtest_qmp(qts, "{'execute': 'xen-save-devices-state',"
                             " 'arguments': {'filename': '/dev/null'}}");

    g_assert_true(qdict_haskey(reply, "error"));
    qobject_unref(reply);
    check_phase(qts, "here", true);
    check_running(qts);
    qtest_quit(qts);
}

/* Given up before anything came: for good, and as often as one asks. */
static void test_offer_given_up(void)
{
    QTestState *qts = start(REALM ",migration=on -incoming defer");
    g_autofree char *first = NULL, *offer = NULL;
    QDict *reply;

    check_phase(qts, "waiting", false);
    CHECK_REFUSES(qts, "not on this machine", "use the one that has it",
                  PREPARE);
    CHECK_REFUSES(qts, "not on this machine", "use the one that has it",
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': 'AAAA'}}");
    CHECK_REFUSES(qts, "no offer was made", "use migrate_cancel on a source",
                  "{'execute': 'realm-migration-abort'}");
    offer = make_offer(qts, NONCE);
    check_phase(qts, "offered", false);
    for (int i = 0; i < 2; i++) {
        reply = qtest_qmp_assert_success_ref(
            qts, "{'execute': 'realm-migration-abort'}");
        if (!first) {
            first = g_strdup(qdict_get_str(reply, "token"));
        }
        g_assert_cmpstr(qdict_get_str(reply, "token"), ==, first);
        qobject_unref(reply);
        check_phase(qts, "failed", false);
    }
    CHECK_REFUSES(qts, "has used its offer, and is in phase 'failed'",
                  "start another one with -incoming defer",
                  OFFER);
    qtest_quit(qts);
}

static void accept_offer(QTestState *source, const char *offer)
{
    qtest_qmp_assert_success(source, "{'execute': 'realm-migration-accept',"
                             " 'arguments': {'offer': %s}}", offer);
}

static void check_not_accepted(QTestState *source, const char *offer,
                               const char *what, const char *remedy,
                               const char *phase)
{
    CHECK_REFUSES(source, what, remedy,
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': %s}}", offer);
    check_phase(source, phase, true);
}

static void check_no_nonce(QTestState *destination, const char *nonce,
                           const char *what, const char *remedy,
                           const char *phase)
{
    CHECK_REFUSES(destination, what, remedy,
                  "{'execute': 'realm-migration-offer',"
                  " 'arguments': {'nonce': %s}}", nonce);
    check_phase(destination, phase, false);
}

static void test_bad_nonces(void)
{
    QTestState *qts = start(REALM ",migration=on -incoming defer");
    const uint8_t bytes[33] = { 0 };
    g_autofree char *shorter = g_base64_encode(bytes, 31);
    g_autofree char *longer = g_base64_encode(bytes, 33);
    const char *remedy = "use what realm-migration-prepare returned";

    check_no_nonce(qts, "%%%", "a nonce is base64", remedy, "waiting");
    check_no_nonce(qts, "", "this one 0", remedy, "waiting");
    check_no_nonce(qts, shorter, "this one 31", remedy, "waiting");
    check_no_nonce(qts, longer, "this one 33", remedy, "waiting");
    qtest_quit(qts);
}

/* Whatever failed before anything was sent, both sides can try again. */
static void test_offer_again(void)
{
    QTestState *source = start(REALM ",migration=on");
    QTestState *destination = start(REALM ",migration=on -incoming defer");
    QTestState *other = start(REALM ",migration=on -incoming defer");
    g_autofree char *nonce = prepare(source);
    g_autofree char *offer = make_offer(destination, nonce);
    g_autofree char *again = make_offer(destination, nonce);
    g_autofree char *others = make_offer(other, nonce);

    g_assert_cmpstr(offer, ==, again);
    g_assert_cmpstr(offer, !=, others);
    check_phase(destination, "offered", false);
    accept_offer(source, offer);
    check_phase(source, "accepted", true);
    check_not_accepted(source, offer, "an offer was accepted",
                       "use migrate, or realm-migration-prepare", "accepted");
    check_not_accepted(source, others, "an offer was accepted",
                       "use migrate, or realm-migration-prepare", "accepted");
    check_running(source);
    qtest_quit(other);
    qtest_quit(source);
    qtest_quit(destination);
}

/* Not of before, and not of another Realm; nor twice. */
static void test_other_nonce(void)
{
    QTestState *source = start(REALM ",migration=on");
    QTestState *other = start(REALM ",migration=on");
    QTestState *destination = start(REALM ",migration=on -incoming defer");
    QTestState *second = start(REALM ",migration=on -incoming defer");
    const char *what = "not for the nonce that realm-migration-prepare gave "
                       "last, or was used before";
    const char *remedy = "use that one on a new destination";
    g_autofree char *first = prepare(source);
    g_autofree char *nonce = prepare(source);
    g_autofree char *foreign = prepare(other);
    g_autofree char *before = make_offer(second, first);
    g_autofree char *offer = make_offer(destination, nonce);
    g_autofree char *after = NULL;

    g_assert_cmpstr(first, !=, nonce);
    g_assert_cmpstr(foreign, !=, nonce);
    check_no_nonce(destination, foreign, "for another nonce",
                   "start another destination", "offered");
    check_not_accepted(source, before, what, remedy, "here");
    check_not_accepted(other, offer, what, remedy, "here");
    accept_offer(source, offer);        /* what was refused used nothing up */
    after = prepare(source);
    check_phase(source, "here", true);
    check_not_accepted(source, offer, what, remedy, "here");
    check_running(source);
    qtest_quit(source);
    qtest_quit(other);
    qtest_quit(destination);
    qtest_quit(second);
}

/* Bytes 4 and 5 of an offer are its version, of which the upper one counts. */
static void test_other_version(void)
{
    QTestState *source = start(REALM ",migration=on");
    QTestState *destination = start(REALM ",migration=on -incoming defer");
    g_autofree char *nonce = prepare(source);
    g_autofree char *offer = make_offer(destination, nonce), *old = NULL;
    g_autofree uint8_t *bytes = NULL;
    size_t size;

    bytes = g_base64_decode(offer, &size);
    g_assert_cmphex(lduw_le_p(bytes + 4), ==, 0x200);
    stw_le_p(bytes + 4, 0x100);
    old = g_base64_encode(bytes, size);
    check_not_accepted(source, old, "another version of the protocol",
                       "use QEMUs with the same major version", "here");
    accept_offer(source, offer);
    qtest_quit(source);
    qtest_quit(destination);
}

/* A guest that calls SYSTEM_OFF (PSCI 1.1, section 5.10). */
static char *off_file(void)
{
    static const uint32_t code[] = {
        0xd2800100,             /* movz x0, #8 */
        0xf2b08000,             /* movk x0, #0x8400, lsl #16 */
        0xd4000003,             /* smc  #0 */
    };
    char *path = NULL;
    int fd = g_file_open_tmp("realm-off-XXXXXX", &path, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(code); i++) {
        uint32_t word = cpu_to_le32(code[i]);

        g_assert_cmpint(write(fd, &word, sizeof(word)), ==, sizeof(word));
    }
    close(fd);
    return path;
}

static void test_accept_after_the_end(void)
{
    g_autofree char *path = off_file();
    QTestState *destination = start(REALM ",migration=on -incoming defer");
    g_autofree char *offer = make_offer(destination, NONCE);
    QTestState *source = qtest_initf(
        "-accel tcg -nodefaults -no-shutdown -S %s -kernel %s",
        REALM ",migration=on", path);
    QDict *status;

    qtest_qmp_assert_success(source, "{'execute': 'cont'}");
    qtest_qmp_eventwait(source, "SHUTDOWN");
    qtest_qmp_eventwait(source, "STOP");
    CHECK_REFUSES(source, "it has come to its end (shutdown)",
                  "end this machine and start another", PREPARE);
    CHECK_REFUSES(source, "it has come to its end (shutdown)",
                  "end this machine and start another",
                  "{'execute': 'realm-migration-accept',"
                  " 'arguments': {'offer': %s}}", offer);
    check_phase(source, "here", true);
    status = qtest_qmp_assert_success_ref(source,
                                          "{'execute': 'query-status'}");
    g_assert_cmpstr(qdict_get_str(status, "status"), ==, "shutdown");
    qobject_unref(status);
    unlink(path);
    qtest_quit(source);
    qtest_quit(destination);
}

/* What is refused at the start is refused later, and the machine goes on. */
static void test_devices_plugged_in(void)
{
    /* No vCPU runs: one without a program keeps RCU, and this, waiting. */
    QTestState *qts = start("-S " REALM);

    CHECK_REFUSES(qts, "cannot grow", "leave virtio-mem-pci out",
                  "{'execute': 'device_add',"
                  " 'arguments': {'driver': 'virtio-mem-pci'}}");
    CHECK_REFUSES(qts, "virtio-rng-pci", "leave iommu_platform=off out",
                  "{'execute': 'device_add', 'arguments': "
                  "{'driver': 'virtio-rng-pci', 'iommu_platform': false}}");
    CHECK_REFUSES(qts, "alloon", "No balloon device",
                  "{'execute': 'balloon', 'arguments': {'value': 1048576}}");
    qobject_unref(query_realm(qts));
    qtest_quit(qts);
}

static void add_refusals(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_options); i++) {
        const BadOptions *bad = &bad_options[i];
        g_autofree char *name = g_strdup_printf("/realm/options/refuse-%s",
                                                bad->claim);

        qtest_add_data_func(name, bad, test_bad_options);
    }
    qtest_add_data_func("/realm/options/refuse-pflash-0",
                        "-drive if=pflash,unit=0,format=raw,file=",
                        test_flash);
    qtest_add_data_func("/realm/options/refuse-pflash-1",
                        "-drive if=pflash,unit=1,format=raw,file=",
                        test_flash);
    qtest_add_func("/realm/options/refuse-an-accelerator-without-realms",
                   test_accelerator);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    add_refusals();
    qtest_add_func("/realm/options/defaults-are-a-realm", test_defaults);
    qtest_add_func("/realm/options/choices-are-obeyed", test_choices);
    qtest_add_func("/realm/options/without-a-word-no-sve-sme-or-pmu",
                   test_cpu_features);
    qtest_add_func("/realm/options/a-word-gives-sve-or-a-pmu",
                   test_cpu_words);
    qtest_add_func("/realm/options/explicit-cpu-features-are-accepted",
                   test_cpu_choices);
    qtest_add_func("/realm/options/extensions-and-features-are-measured",
                   test_measured);
    qtest_add_func("/realm/options/no-measurement-before-the-first-start",
                   test_no_measurement_before_start);
    qtest_add_func("/realm/options/pages-of-a-built-realm",
                   test_pages_of_a_built_realm);
    qtest_add_func("/realm/options/private-memory-is-as-the-backend-says",
                   test_memory_properties);
    qtest_add_func("/realm/options/memory-without-a-reserve-is-not-reserved",
                   test_memory_without_a_reserve);
    qtest_add_func("/realm/commands/refuse-an-object-at-run-time",
                   test_object_at_run_time);
    qtest_add_func("/realm/commands/refuse-new-properties-of-a-realm",
                   test_fixed_properties);
    qtest_add_func("/realm/commands/refuse-devices-plugged-in-later",
                   test_devices_plugged_in);
    qtest_add_func("/realm/commands/refuse-without-a-realm", test_no_realm);
    qtest_add_func("/realm/commands/refuse-migration-of-migration-off",
                   test_migration_off);
    qtest_add_func("/realm/commands/refuse-migration-without-an-offer",
                   test_no_offer);
    qtest_add_func("/realm/commands/refuse-snapshots-for-the-one-reason",
                   test_snapshots);
    qtest_add_func("/realm/commands/refuse-what-is-no-offer",
                   test_bad_offers);
    qtest_add_func("/realm/commands/nothing-to-give-up-or-to-take-back",
                   test_nothing_to_give_up);
    qtest_add_func("/realm/commands/refuse-to-save-devices-without-a-migration",
                   test_devices_are_not_saved);
    qtest_add_func("/realm/commands/an-offer-is-given-up-for-good",
                   test_offer_given_up);
    qtest_add_func("/realm/commands/refuse-a-too-long-offer",
                   test_long_offer);
    qtest_add_func("/realm/commands/refuse-an-offer-before-the-first-start",
                   test_offer_before_start);
    qtest_add_func("/realm/commands/an-unused-offer-is-made-again",
                   test_offer_again);
    qtest_add_func("/realm/commands/refuse-an-offer-for-another-nonce",
                   test_other_nonce);
    qtest_add_func("/realm/commands/refuse-what-is-no-nonce",
                   test_bad_nonces);
    qtest_add_func("/realm/commands/refuse-an-offer-of-version-1",
                   test_other_version);
    qtest_add_func("/realm/commands/nothing-to-migrate-after-the-end",
                   test_accept_after_the_end);
    return g_test_run();
}
