/*
 * Measurements against vectors that TF-RMM 1.0 gave as well
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "measurement.h"

static void check_slot(FakeMachine *m, const FakeRealm *r, unsigned slot,
                       const char *hex)
{
    const uint8_t *value = fake_realm_object(m, r)->measurement[slot];
    GString *s = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < strlen(hex) / 2; i++) {
        g_string_append_printf(s, "%02x", value[i]);
    }
    g_assert_cmpstr(s->str, ==, hex);
    for (; i < MEASUREMENT_BYTES; i++) {
        g_assert_cmpuint(value[i], ==, 0);
    }
    g_string_free(s, TRUE);
}

/* The Realm of both chains: 48 bits from level 0. */
static FakeRealm realm48(FakeMachine *m, unsigned ipa_bits)
{
    FakeRealm r;

    fake_realm_params(m, &r, ipa_bits, 0);
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    return r;
}

static void params_are_measured(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r48 = realm48(m, 48), r40 = realm48(m, 40), r44 = realm48(m, 44);

    check_slot(m, &r48, 0, "6739dfb22b75ee1268d08dfa8369f501"
                           "bc0b066243553f069f560d1fa1172973");
    check_slot(m, &r40, 0, "045cb3602843a6845cb710fbbfbb92f0"
                           "c7d611afe0106ac2953e46950a70c42b");
    check_slot(m, &r44, 0, "97352ee0ce3ba8c8e071bf2795495b46"
                           "f19d523ee54382303533bd09bc61a660");
    fake_machine_free(m);
}

static void init_ripas(FakeMachine *m, const FakeRealm *r, uint64_t base,
                       uint64_t top, const char *rim)
{
    g_assert_cmphex(fake_call(m, RMI_RTT_INIT_RIPAS, r->rd, base, top),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(m->pe.x[1], ==, top);
    check_slot(m, r, 0, rim);
}

static void ripas_then_rec(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = realm48(m, 48);
    RmiRecParams *params = fake_ns(m, FAKE_NS_PARAMS);

    fake_tables(m, &r, 0);
    init_ripas(m, &r, 0x1000, 0x2000, "a94263b10417ac8dfa0692bd3fe944eb"
                                      "2566303fd73985e40d4ba5efa7934c7a");
    memset(params, 0, sizeof(*params));
    params->flags = RMI_REC_RUNNABLE;
    params->pc = 0x5555555611a5;
    g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r.rd, fake_granule(m),
                              FAKE_NS_PARAMS), ==, RMI_SUCCESS);
    check_slot(m, &r, 0, "dee75b9f0dd2babb129640b4156868a4"
                         "1336a75aeb1e40d4b3366eab1555191c");
    /* A REC that starts off adds nothing. */
    params->flags = 0;
    params->mpidr = 1;
    g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r.rd, fake_granule(m),
                              FAKE_NS_PARAMS), ==, RMI_SUCCESS);
    check_slot(m, &r, 0, "dee75b9f0dd2babb129640b4156868a4"
                         "1336a75aeb1e40d4b3366eab1555191c");
    fake_machine_free(m);
}

static void data(FakeMachine *m, const FakeRealm *r, uint64_t ipa,
                 uint64_t flags, const char *rim)
{
    memset(fake_ns(m, FAKE_NS_SRC), 0x5a, RMM_GRANULE_SIZE);
    g_assert_cmphex(fake_call(m, RMI_DATA_CREATE, r->rd, fake_granule(m), ipa,
                              FAKE_NS_SRC, flags), ==, RMI_SUCCESS);
    check_slot(m, r, 0, rim);
}

static void ripas_and_data(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = realm48(m, 48);

    fake_tables(m, &r, 0);
    init_ripas(m, &r, 0, 0x1000, "c1ec23f52ac6bc93fec138f63802cac5"
                                 "91ac952206470d02702dab40ca1d13c7");
    init_ripas(m, &r, 0x1000, 0x2000, "28b0d00daf33d12060b397ba9363a0e3"
                                      "52521798c69db16df189b31dd43837ef");
    init_ripas(m, &r, 0x2000, 0x3000, "3fa77e94054f9bfdae2b8ab60493c462"
                                      "7965fd526528bf23d98d27cd3fac9a7b");
    init_ripas(m, &r, 0x200000, 0x400000, "2dd4a51859151a31195e568c60f3965a"
                                          "728cb48a44175363a3a0c53e753e66a8");
    init_ripas(m, &r, 0x400000, 0x600000, "06ccb82de62c93966924d14702449aeb"
                                          "8dbceef27a5ef74ac631ad9c2752eeec");
    data(m, &r, 0x1000, RMI_DATA_MEASURE, "ae6dcf8adb434fc997ddb28105d93436"
                                          "c8603c4c636e2fa2bb1c22e3e3f75436");
    data(m, &r, 0x3000, 0, "38e853dd4cb6c3dbe1d4b90179cbdcf4"
                           "48b2cd36e575565db3031d973d952302");
    init_ripas(m, &r, 0, 0x1000, "09c4a85ecfbb5b328eea570477e796ed"
                                 "96ab8fcc4f58cc218bde280aac62551d");
    fake_machine_free(m);
}

static void rem_extends_from_zero(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_active(m);
    RmmPe pe = { 0 };
    uint64_t args[] = { 1, 8, 0x0807060504030201 };
    uint64_t read[] = { 1 };

    fake_enter(m, &pe, &r, 0);
    g_assert_cmphex(fake_call_pe(m, &pe, RSI_MEASUREMENT_EXTEND, args, 3),
                    ==, RSI_SUCCESS);
    check_slot(m, &r, 1, "f0bac6157eaec34c9368f09d783aa3a4"
                         "7ae1ff0e295aeb322b063e9f60feeeb3");
    g_assert_cmphex(fake_call_pe(m, &pe, RSI_MEASUREMENT_READ, read, 1),
                    ==, RSI_SUCCESS);
    g_assert_cmpmem(&pe.x[1], 64,
                    fake_realm_object(m, &r)->measurement[1], 64);
    take_interrupt(m->rmm, &pe);
    fake_machine_free(m);
}

static void sha512_fills_the_slot(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r;
    RmiRealmParams *params = fake_realm_params(m, &r, 48, 0);
    uint64_t last;

    params->hash_algo = RMI_HASH_SHA_512;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    g_assert_cmpuint(measurement_size(RMI_HASH_SHA_512), ==, 64);
    memcpy(&last, &fake_realm_object(m, &r)->measurement[0][56],
           sizeof(last));
    g_assert_cmphex(last, !=, 0);
    fake_machine_free(m);
}

/*
 * SHA-256 of the page of parameters that params_are_measured has, with 1 or 2
 * at offset 0x3f8.
 */
static void extensions_show_in_the_rim(void)
{
    static const char *const rims[] = {
        "a3d65ee1b04e62f7dfea54879bd1acbf64cba4fdfa080ccf4fc728d8ce5aa99e",
        "efd9a9ca792fbd1757367a10a96859fbeece2aa881742cb5bac609db75fcac55",
    };
    FakeMachine *m = fake_machine_new(64);
    uint64_t flag;
    FakeRealm r;

    for (flag = RMI_REALM_EXT_MIGRATION; flag <= RMI_REALM_EXT_MTE; flag++) {
        fake_realm_params(m, &r, 48, 0)->ext_flags = flag;
        g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
        check_slot(m, &r, 0, rims[flag - 1]);
    }
    fake_machine_free(m);
}

/*
 * The default policy: the descriptor with the first RIM of
 * extensions_show_in_the_rim and SHA-256 of 02 00 00 00 and 0x6fc zeros, hashed
 * by another program.
 */
static void the_default_policy_shows_in_the_rim(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r;

    fake_realm_params(m, &r, 48, 0)->ext_flags = RMI_REALM_EXT_MIGRATION;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    g_assert_cmphex(fake_call(m, RMI_REALM_ACTIVATE, r.rd), ==, RMI_SUCCESS);
    check_slot(m, &r, 0, "c38a9b67cf204fb9e1a92af9de8650e5"
                         "fd12c426c16246962d368c05b17ae73a");
    fake_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/measurement/params_are_measured",
                    params_are_measured);
    g_test_add_func("/rmm/measurement/ripas_then_rec", ripas_then_rec);
    g_test_add_func("/rmm/measurement/ripas_and_data", ripas_and_data);
    g_test_add_func("/rmm/measurement/rem_extends_from_zero",
                    rem_extends_from_zero);
    g_test_add_func("/rmm/measurement/sha512_fills_the_slot",
                    sha512_fills_the_slot);
    g_test_add_func("/rmm/measurement/extensions_show_in_the_rim",
                    extensions_show_in_the_rim);
    g_test_add_func("/rmm/measurement/the_default_policy_shows_in_the_rim",
                    the_default_policy_shows_in_the_rim);
    return g_test_run();
}
