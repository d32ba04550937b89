/*
 * The policy of a Realm's migration: rules from a text file
 * (target/arm/realm/migration-rules.c), and what the RMM gets of the whole
 * policy (target/arm/realm/policy.c)
 *
 * Purpose: what is read, and at which offset it is afterwards; what is refused,
 * and that nothing has changed then.  Offsets and numbers are those of the
 * document (docs/specs/realm-migration-stream.rst, "Policy").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "target/arm/realm/migration-rules.h"
#include "target/arm/realm/policy.h"
#include "target/arm/realm/policy-text.h"
#include "target/arm/rmm/policy.h"

#define HEX_8 "0123456789abcDEF"
#define HEX_32 HEX_8 HEX_8 HEX_8 HEX_8
#define HEX_48 HEX_32 HEX_8 HEX_8
#define HEX_64 HEX_32 HEX_32

static const uint8_t value[64] = {
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
};

static char *path;

static void write_file(const void *data, gssize size)
{
    g_assert_true(g_file_set_contents(path, data, size, NULL));
}

static void read_rules(RealmPolicy *policy, const char *text)
{
    write_file(text, -1);
    g_assert_true(migration_rules_read(policy, path, &error_abort));
}

static void check_file_refused(const char *reason, const char *remedy)
{
    RealmPolicy before, policy;
    Error *err = NULL;

    memset(&before, 0x5a, sizeof(before));
    policy = before;
    g_assert_false(migration_rules_read(&policy, path, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err),
                                   "rme-guest: migration-rules: "));
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    g_assert_nonnull(strstr(error_get_pretty(err), remedy));
    g_assert_null(strchr(error_get_pretty(err), '\n'));
    g_assert_cmpmem(&policy, sizeof(policy), &before, sizeof(before));
    error_free(err);
}

static void check_refused(const char *text, const char *reason,
                          const char *remedy)
{
    write_file(text, -1);
    check_file_refused(reason, remedy);
}

static void check_version(const RealmRule *rule, uint32_t a, uint32_t b,
                          uint32_t c, uint32_t d)
{
    const uint32_t version[] = { a, b, c, d };

    g_assert_cmpmem(rule->version, sizeof(rule->version), version,
                    sizeof(version));
}

static void check_rule(const RealmRule *rule, RealmRuleKind kind,
                       const char *type, size_t size)
{
    static const uint8_t zeros[64];

    g_assert_cmpint(rule->kind, ==, kind);
    g_assert_cmpstr(rule->type, ==, type);
    g_assert_cmpint(rule->value_size, ==, size);
    g_assert_cmpmem(rule->value, size, value, size);
    g_assert_cmpmem(rule->value + size, 64 - size, zeros, 64 - size);
}

static void test_forms(void)
{
    RealmPolicy policy = { .has_implementation = true };

    read_rules(&policy,
               "# who signs our RMMs, and since when\n"
               "signer RMM " HEX_32 " >= 1.2.0   # Arm's\n"
               "\n"
               "  signer \"RMM model\"\t" HEX_64 " >= 4294967295.0.0.7"
               "\t# it's\r\n"
               "\t# another comment, which isn't quoted\n"
               "measurement 'Gnu TLS' " HEX_48 "\n"
               "measurement * " HEX_32);
    g_assert_cmpint(policy.num_rules, ==, 4);
    check_rule(&policy.rules[0], REALM_RULE_SIGNER, "RMM", 32);
    check_version(&policy.rules[0], 1, 2, 0, 0);
    check_rule(&policy.rules[1], REALM_RULE_SIGNER, "RMM model", 64);
    check_version(&policy.rules[1], UINT32_MAX, 0, 0, 7);
    check_rule(&policy.rules[2], REALM_RULE_MEASUREMENT, "Gnu TLS", 48);
    check_version(&policy.rules[2], 0, 0, 0, 0);
    check_rule(&policy.rules[3], REALM_RULE_MEASUREMENT, "", 32);
    g_assert_true(policy.has_implementation);
}

/* 23 bytes, one of which is half of a letter */
#define LONGEST "12345678901234567890\xc3\xa9" "1"

static void test_bounds(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    RealmPolicy policy = { 0 };

    for (int i = 0; i < REALM_MAX_RULES; i++) {
        g_string_append(text, "measurement " LONGEST " " HEX_32 "\n");
    }
    read_rules(&policy, text->str);
    g_assert_cmpint(policy.num_rules, ==, REALM_MAX_RULES);
    check_rule(&policy.rules[7], REALM_RULE_MEASUREMENT, LONGEST, 32);

    /* A second file takes the place of the first one. */
    read_rules(&policy, "signer A " HEX_32 " >= 0");
    g_assert_cmpint(policy.num_rules, ==, 1);
    check_rule(&policy.rules[0], REALM_RULE_SIGNER, "A", 32);
    g_assert_cmpstr(policy.rules[1].type, ==, "");
    g_assert_cmpint(policy.rules[1].value_size, ==, 0);

    g_string_append(text, "measurement A " HEX_32 "\n");
    check_refused(text->str, ", line 9: there are more than 8 rules",
                  "give fewer");
}

static void test_other_rules(void)
{
    static const char *const lines[] = {
        "signr A " HEX_32 " >= 1", "signer A " HEX_32, "signer A",
        "signer A " HEX_32 " > 1", "signer A " HEX_32 " >= 1 2",
        "signer A " HEX_32 " >=1", "signer RMM model " HEX_32 " >= 1",
        "measurement " HEX_32, "measurement A " HEX_32 " >= 1", "signer", "''",
    };

    for (int i = 0; i < ARRAY_SIZE(lines); i++) {
        g_autofree char *text = g_strdup_printf(
            "# a comment\nmeasurement A " HEX_32 "\n%s\n", lines[i]);

        check_refused(text, ", line 3: this is no rule",
                      "give 'signer TYPE ID >= VERSION' or 'measurement");
    }
    check_refused("signer 'A " HEX_32 " >= 1", ", line 1: ",
                  "give 'signer TYPE ID >= VERSION' or 'measurement");
}

static void test_other_words(void)
{
    static const char *const types[] = {
        "''", LONGEST "1", "\xc3", LONGEST LONGEST,
    };
    static const char *const digits[] = {
        "''", "00", "0" HEX_32, HEX_32 "0", HEX_32 "00", HEX_32 HEX_8,
        HEX_64 "00", HEX_48 HEX_8 "012345678 abcDEF", "g0" HEX_48 HEX_8,
        "0x" HEX_32,
    };
    static const char *const versions[] = {
        "''", ".", "1.", ".1", "1..2", "1.2.3.4.5", "1.2.3.4.", "4294967296",
        "18446744073709551617", "-1", "+1", "' 1'", "1.2-rc1", "0x1", "v1",
    };

    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        g_autofree char *text = g_strdup_printf("measurement %s " HEX_32,
                                                types[i]);

        check_refused(text, ", line 1: a component's type has 1 to 23 bytes",
                      "give the type that a platform token has, or *");
    }
    for (int i = 0; i < ARRAY_SIZE(digits); i++) {
        g_autofree char *a = g_strdup_printf("measurement A \"%s\"", digits[i]);
        g_autofree char *b = g_strdup_printf("signer A \"%s\" >= 1", digits[i]);

        check_refused(a, "is no measurement", "give 64, 96 or 128 hex");
        check_refused(b, "is no signer's id", "give 64, 96 or 128 hex");
    }
    for (int i = 0; i < ARRAY_SIZE(versions); i++) {
        g_autofree char *text = g_strdup_printf("signer A " HEX_32 " >= %s",
                                                versions[i]);

        check_refused(text, "is no version", "give one to four numbers");
    }
}

static void test_other_files(void)
{
    g_autofree char *large = g_strnfill(64 * 1024 + 1, '#');
    RealmPolicy policy = { 0 };

    check_refused("", "no rule in", "give 'signer TYPE ID");
    check_refused("# nothing\n\n", "no rule in", "give 'signer TYPE ID");
    check_refused(large, "is not a text of at most 65536 bytes",
                  "give a file with rules");
    write_file("measurement A\0 " HEX_32, 16 + 64);
    check_file_refused("is not a text", "give a file with rules");
    unlink(path);
    check_file_refused("No such file", "give a file with rules");
    g_assert_cmpint(mkdir(path, 0700), ==, 0);
    check_file_refused("Is a directory", "give a file with rules");
    rmdir(path);

    /* One byte fewer is not too large. */
    memcpy(large, "measurement A " HEX_32 "\n", 15 + 64);
    large[64 * 1024] = '\0';
    read_rules(&policy, large);
    g_assert_cmpint(policy.num_rules, ==, 1);
}

/* ---- the policy as the RMM takes it ---- */

static void check_zero(const uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        g_assert_cmpint(bytes[i], ==, 0);
    }
}

/* Pack @policy over bytes that are not zero. */
static void pack(uint8_t bytes[0x700], const RealmPolicy *policy)
{
    MigPolicy mig;

    g_assert_cmpint(sizeof(mig), ==, 0x700);
    memset(&mig, 0xff, sizeof(mig));
    realm_policy_pack(&mig, policy);
    memcpy(bytes, &mig, sizeof(mig));
    g_assert_cmpint(ldl_le_p(bytes), ==, 2);
}

/* What options can say, the RMM takes; keys apart, which it looks at itself. */
static void test_taken(void)
{
    RealmPolicy policy = { .compact = RME_GUEST_MIGRATION_FEATURE_REQUIRED };
    MigPolicy mig;

    realm_policy_pack(&mig, &policy);
    g_assert_true(policy_valid(&mig));
    for (int i = 0; i < RME_GUEST_MIGRATION_LIFE_CYCLE__MAX; i++) {
        policy.life_cycle = i;
        read_rules(&policy, "signer RMM " HEX_48 " >= 1.2.3.4\n"
                            "measurement " LONGEST " " HEX_64 "\n"
                            "measurement * " HEX_32 "\n"
                            "measurement * " HEX_32 "\n");
        realm_policy_pack(&mig, &policy);
        g_assert_true(policy_valid(&mig));
    }
}

static void test_default(void)
{
    RealmPolicy policy = { 0 };
    uint8_t bytes[0x700];

    pack(bytes, &policy);
    check_zero(bytes, 4, sizeof(bytes));
}

static void test_flags(void)
{
    static const struct {
        RealmPolicy policy;
        uint32_t flags;
        uint64_t required;
    } cases[] = {
        { { .compact = RME_GUEST_MIGRATION_FEATURE_ON }, 1, 0 },
        { { .compact = RME_GUEST_MIGRATION_FEATURE_REQUIRED }, 1, 1 },
        { { .life_cycle = RME_GUEST_MIGRATION_LIFE_CYCLE_SECURED }, 2, 0 },
        { { .has_implementation = true }, 4, 0 },
        { { .life_cycle = RME_GUEST_MIGRATION_LIFE_CYCLE_ANY }, 8, 0 },
    };
    uint8_t bytes[0x700];

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        pack(bytes, &cases[i].policy);
        g_assert_cmphex(ldl_le_p(bytes + 4), ==, cases[i].flags);
        check_zero(bytes, 8, 0x30);
        g_assert_cmphex(ldq_le_p(bytes + 0x30), ==, cases[i].required);
        check_zero(bytes, 0x38, sizeof(bytes));
    }
}

static void test_layout(void)
{
    RealmPolicy policy = { .has_implementation = true, .num_anchors = 2 };
    uint8_t bytes[0x700];

    memcpy(policy.implementation, value + 1, 32);
    memcpy(policy.anchors[0].key, value, 64);
    policy.anchors[1].authority = true;
    memcpy(policy.anchors[1].key + 32, value + 2, 62);
    read_rules(&policy, "signer RMM " HEX_48 " >= 1.2.3.4\n"
                        "measurement * " HEX_32 "\n");
    pack(bytes, &policy);

    g_assert_cmpint(ldl_le_p(bytes + 8), ==, 2);
    g_assert_cmpint(ldl_le_p(bytes + 0xc), ==, 2);
    g_assert_cmpmem(bytes + 0x10, 32, value + 1, 32);
    check_zero(bytes, 0x30, 0x40);

    g_assert_cmpint(bytes[0x40], ==, 1);                /* KEY */
    check_zero(bytes, 0x41, 0x48);
    g_assert_cmpmem(bytes + 0x48, 64, value, 64);
    check_zero(bytes, 0x88, 0xa8);
    g_assert_cmpint(bytes[0xa8], ==, 2);                /* AUTHORITY */
    check_zero(bytes, 0xa9, 0xd0);
    g_assert_cmpmem(bytes + 0xd0, 62, value + 2, 62);
    check_zero(bytes, 0x10e, 0x380);

    g_assert_cmpint(bytes[0x380], ==, 1);               /* SIGNER */
    g_assert_cmpint(bytes[0x381], ==, 48);
    check_zero(bytes, 0x382, 0x388);
    g_assert_cmpmem(bytes + 0x388, 4, "RMM", 4);
    check_zero(bytes, 0x38c, 0x3a0);
    g_assert_cmpmem(bytes + 0x3a0, 48, value, 48);
    check_zero(bytes, 0x3d0, 0x3e0);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(ldl_le_p(bytes + 0x3e0 + 4 * i), ==, i + 1);
    }
    g_assert_cmpint(bytes[0x3f0], ==, 2);               /* MEASUREMENT */
    g_assert_cmpint(bytes[0x3f1], ==, 32);
    check_zero(bytes, 0x3f2, 0x410);
    g_assert_cmpmem(bytes + 0x410, 32, value, 32);
    check_zero(bytes, 0x430, 0x700);
}

static void test_hex(void)
{
    uint8_t out[2] = { 0x5a, 0x5a };

    g_assert_cmpint(policy_text_hex(out, 2, "00fF"), ==, 2);
    g_assert_cmpint(out[1], ==, 0xff);
    g_assert_cmpint(policy_text_hex(out, 2, ""), ==, 0);
    g_assert_cmpint(policy_text_hex(out, 2, "0"), ==, 0);
    g_assert_cmpint(policy_text_hex(out, 2, "000"), ==, 0);
    g_assert_cmpint(policy_text_hex(out, 2, "000000"), ==, 0);
    g_assert_cmpint(policy_text_hex(out, 2, "0g"), ==, 0);
    g_assert_cmpint(policy_text_hex(out, 2, "g0"), ==, 0);
}

int main(int argc, char **argv)
{
    int fd, ret;

    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("migration-rules-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_test_add_func("/migration-rules/forms", test_forms);
    g_test_add_func("/migration-rules/bounds", test_bounds);
    g_test_add_func("/migration-rules/refuse-other-rules", test_other_rules);
    g_test_add_func("/migration-rules/refuse-other-words", test_other_words);
    g_test_add_func("/migration-rules/refuse-other-files", test_other_files);
    g_test_add_func("/migration-policy/hexadecimal-digits", test_hex);
    g_test_add_func("/migration-policy/no-option-is-the-default-policy",
                    test_default);
    g_test_add_func("/migration-policy/an-option-is-its-own-flag", test_flags);
    g_test_add_func("/migration-policy/layout", test_layout);
    g_test_add_func("/migration-policy/the-rmm-takes-it", test_taken);
    ret = g_test_run();
    unlink(path);
    g_free(path);
    return ret;
}
