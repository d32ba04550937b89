/*
 * CCA attestation tokens (see token.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>
#include "cbor-make.h"
#include "measurement.h"
#include "token.h"

#define TAG_CCA_TOKEN 399
#define LIFECYCLE_UNKNOWN 0             /* secured would be 0x3000 */

/* Keys of the maps, each in ascending order: the order of their encodings. */
enum { TOKEN_PLATFORM = 44234, TOKEN_REALM = 44241 };
enum {
    CLAIM_CHALLENGE = 10,
    CLAIM_INSTANCE_ID = 256,
    CLAIM_PROFILE = 265,
    CLAIM_LIFECYCLE = 2395,
    CLAIM_IMPLEMENTATION_ID = 2396,
    CLAIM_SW_COMPONENTS = 2399,
    CLAIM_CONFIG = 2401,
    CLAIM_PLATFORM_HASH_ALGO = 2402,
    CLAIM_RPV = 44235,
    CLAIM_HASH_ALGO = 44236,
    CLAIM_RAK = 44237,
    CLAIM_RIM = 44238,
    CLAIM_REMS = 44239,
    CLAIM_RAK_HASH_ALGO = 44240,
};
enum { COMPONENT_TYPE = 1, COMPONENT_MEASUREMENT = 2, COMPONENT_VERSION = 4,
       COMPONENT_SIGNER = 5, COMPONENT_HASH_ALGO = 6 };

static cbor_item_t *hash_name(uint8_t hash_algo)
{
    return cbor_make_text(hash_algo == RMI_HASH_SHA_512 ? "sha-512"
                                                        : "sha-256");
}

static void hash_key(const CoseKey *key, uint8_t hash[TOKEN_HASH_SIZE])
{
    GBytes *public = cose_key_public(key);
    gsize size;
    const void *data = g_bytes_get_data(public, &size);
    int err = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, hash);

    g_assert(err == 0);
    g_bytes_unref(public);
}

static GBytes *realm_claims(const TokenClaims *claims, const CoseKey *rak)
{
    size_t size = measurement_size(claims->hash_algo);
    cbor_item_t *map = cbor_make_map(8);
    cbor_item_t *rems = cbor_make_array(MEASUREMENT_SLOTS - 1);
    unsigned i;

    for (i = 1; i < MEASUREMENT_SLOTS; i++) {
        cbor_append(rems, cbor_make_bytes(claims->measurement[i], size));
    }
    cbor_put(map, CLAIM_CHALLENGE,
             cbor_make_bytes(claims->challenge, sizeof(claims->challenge)));
    cbor_put(map, CLAIM_PROFILE,
             cbor_make_text("tag:arm.com,2023:realm#1.0.0"));
    cbor_put(map, CLAIM_RPV,
             cbor_make_bytes(claims->rpv, sizeof(claims->rpv)));
    cbor_put(map, CLAIM_HASH_ALGO, hash_name(claims->hash_algo));
    cbor_put(map, CLAIM_RAK, cbor_make_taken(cose_key_public(rak)));
    cbor_put(map, CLAIM_RIM, cbor_make_bytes(claims->measurement[0], size));
    cbor_put(map, CLAIM_REMS, rems);
    cbor_put(map, CLAIM_RAK_HASH_ALGO, hash_name(RMI_HASH_SHA_256));
    return cbor_finish(map);
}

static cbor_item_t *sw_component(const TokenComponent *c,
                                 const uint8_t signer[TOKEN_HASH_SIZE])
{
    cbor_item_t *map = cbor_make_map(5);

    cbor_put(map, COMPONENT_TYPE, cbor_make_text(c->type));
    cbor_put(map, COMPONENT_MEASUREMENT,
             cbor_make_bytes(c->measurement, sizeof(c->measurement)));
    cbor_put(map, COMPONENT_VERSION, cbor_make_text(c->version));
    cbor_put(map, COMPONENT_SIGNER, cbor_make_bytes(signer, TOKEN_HASH_SIZE));
    cbor_put(map, COMPONENT_HASH_ALGO, hash_name(RMI_HASH_SHA_256));
    return map;
}

static cbor_item_t *sw_components(const TokenClaims *claims,
                                  const uint8_t signer[TOKEN_HASH_SIZE])
{
    cbor_item_t *array = cbor_make_array(claims->num_components);
    unsigned i;

    for (i = 0; i < claims->num_components; i++) {
        cbor_append(array, sw_component(&claims->components[i], signer));
    }
    return array;
}

static GBytes *platform_claims(const TokenClaims *claims, const CoseKey *rak,
                               const CoseKey *platform)
{
    uint8_t binding[TOKEN_HASH_SIZE], instance[1 + TOKEN_HASH_SIZE] = { 0x01 };
    char implementation[32] = TOKEN_IMPLEMENTATION;
    cbor_item_t *map = cbor_make_map(8);

    hash_key(rak, binding);
    hash_key(platform, instance + 1);
    cbor_put(map, CLAIM_CHALLENGE, cbor_make_bytes(binding, sizeof(binding)));
    cbor_put(map, CLAIM_INSTANCE_ID,
             cbor_make_bytes(instance, sizeof(instance)));
    cbor_put(map, CLAIM_PROFILE,
             cbor_make_text("tag:arm.com,2023:cca_platform#1.0.0"));
    cbor_put(map, CLAIM_LIFECYCLE, cbor_make_int(LIFECYCLE_UNKNOWN));
    cbor_put(map, CLAIM_IMPLEMENTATION_ID,
             cbor_make_bytes(implementation, sizeof(implementation)));
    cbor_put(map, CLAIM_SW_COMPONENTS,
             sw_components(claims, instance + 1));
    cbor_put(map, CLAIM_CONFIG, cbor_make_bytes("model", strlen("model")));
    cbor_put(map, CLAIM_PLATFORM_HASH_ALGO, hash_name(RMI_HASH_SHA_256));
    return cbor_finish(map);
}

GBytes *token_make(const TokenClaims *claims, const CoseKey *rak,
                   const CoseKey *platform)
{
    GBytes *platform_token, *realm_token;
    cbor_item_t *map;

    platform_token = cose_sign1(platform,
                                platform_claims(claims, rak, platform));
    if (!platform_token) {
        return NULL;
    }
    realm_token = cose_sign1(rak, realm_claims(claims, rak));
    if (!realm_token) {
        g_bytes_unref(platform_token);
        return NULL;
    }
    map = cbor_make_map(2);
    cbor_put(map, TOKEN_PLATFORM, cbor_make_taken(platform_token));
    cbor_put(map, TOKEN_REALM, cbor_make_taken(realm_token));
    return cbor_finish(cbor_make_tag(TAG_CCA_TOKEN, map));
}
