/*
 * CCA attestation tokens (see token.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>
#include "cbor-make.h"
#include "cbor-read.h"
#include "measurement.h"
#include "token.h"

#define TAG_CCA_TOKEN 399
#define PLATFORM_PROFILE "tag:arm.com,2023:cca_platform#1.0.0"

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

static cbor_item_t *sw_components(const TokenMachine *machine,
                                  const uint8_t signer[TOKEN_HASH_SIZE])
{
    cbor_item_t *array = cbor_make_array(machine->num_components);
    unsigned i;

    for (i = 0; i < machine->num_components; i++) {
        cbor_append(array, sw_component(&machine->components[i], signer));
    }
    return array;
}

static GBytes *platform_claims(const uint8_t challenge[TOKEN_HASH_SIZE],
                               const TokenMachine *machine,
                               const CoseKey *platform)
{
    uint8_t instance[1 + TOKEN_HASH_SIZE] = { 0x01 };
    char implementation[32] = TOKEN_IMPLEMENTATION;
    cbor_item_t *map = cbor_make_map(8);

    hash_key(platform, instance + 1);
    cbor_put(map, CLAIM_CHALLENGE,
             cbor_make_bytes(challenge, TOKEN_HASH_SIZE));
    cbor_put(map, CLAIM_INSTANCE_ID,
             cbor_make_bytes(instance, sizeof(instance)));
    cbor_put(map, CLAIM_PROFILE,
             cbor_make_text(PLATFORM_PROFILE));
    cbor_put(map, CLAIM_LIFECYCLE, cbor_make_int(machine->lifecycle));
    cbor_put(map, CLAIM_IMPLEMENTATION_ID,
             cbor_make_bytes(implementation, sizeof(implementation)));
    cbor_put(map, CLAIM_SW_COMPONENTS,
             sw_components(machine, instance + 1));
    cbor_put(map, CLAIM_CONFIG, cbor_make_bytes("model", strlen("model")));
    cbor_put(map, CLAIM_PLATFORM_HASH_ALGO, hash_name(RMI_HASH_SHA_256));
    return cbor_finish(map);
}

GBytes *token_make_platform(const uint8_t challenge[TOKEN_HASH_SIZE],
                            const TokenMachine *machine,
                            const CoseKey *platform)
{
    return cose_sign1(platform, platform_claims(challenge, machine, platform));
}

GBytes *token_make(const TokenClaims *claims, const CoseKey *rak,
                   const CoseKey *platform)
{
    uint8_t binding[TOKEN_HASH_SIZE];
    GBytes *platform_token, *realm_token;
    cbor_item_t *map;

    hash_key(rak, binding);
    platform_token = token_make_platform(binding, &claims->machine, platform);
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

/* ---- the platform token of a peer ---- */

static bool read_bytes(CborReader *r, uint8_t *out, size_t size)
{
    const uint8_t *data;
    size_t found;

    if (!cbor_read_string(r, CBOR_BYTES, &data, &found) || found != size) {
        return false;
    }
    memcpy(out, data, size);
    return true;
}

static bool read_profile(CborReader *r, bool *is_cca)
{
    const uint8_t *data;
    size_t size;

    if (!cbor_read_string(r, CBOR_TEXT, &data, &size)) {
        return false;
    }
    *is_cca = size == strlen(PLATFORM_PROFILE) &&
              memcmp(data, PLATFORM_PROFILE, size) == 0;
    return true;
}

static bool read_lifecycle(CborReader *r, uint16_t *lifecycle)
{
    uint64_t value;

    if (!cbor_read(r, CBOR_UINT, &value) || value > UINT16_MAX) {
        return false;
    }
    *lifecycle = value;
    return true;
}

static bool read_text(CborReader *r, TokenString *text)
{
    return cbor_read_string(r, CBOR_TEXT, &text->data, &text->size);
}

/* A measurement, or a signer's id: a hash */
static bool read_hash(CborReader *r, TokenString *hash)
{
    return cbor_read_string(r, CBOR_BYTES, &hash->data, &hash->size) &&
           (hash->size == 32 || hash->size == 48 || hash->size == 64);
}

/* One entry of a component's map */
static bool read_component_entry(CborReader *r, TokenPeerComponent *c)
{
    int64_t key;

    if (!cbor_read_int(r, &key)) {
        return false;
    }
    switch (key) {
    case COMPONENT_TYPE:
        return !c->type.data && read_text(r, &c->type);
    case COMPONENT_MEASUREMENT:
        return !c->measurement.data && read_hash(r, &c->measurement);
    case COMPONENT_VERSION:
        return !c->version.data && read_text(r, &c->version);
    case COMPONENT_SIGNER:
        return !c->signer.data && read_hash(r, &c->signer);
    default:
        return cbor_skip(r);
    }
}

static bool read_component(CborReader *r, TokenPeerComponent *c)
{
    uint64_t entries;

    *c = (TokenPeerComponent) { { NULL, 0 } };
    if (!cbor_read(r, CBOR_MAP, &entries)) {
        return false;
    }
    for (; entries; entries--) {
        if (!read_component_entry(r, c)) {
            return false;
        }
    }
    return c->measurement.data;
}

static bool read_components(CborReader *r, TokenPlatform *claims)
{
    uint64_t n;

    if (!cbor_read(r, CBOR_ARRAY, &n) || n > TOKEN_MAX_COMPONENTS) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!read_component(r, &claims->components[i])) {
            return false;
        }
    }
    claims->num_components = n;
    return true;
}

/* One entry of the map; @seen has a bit for each claim that was read. */
static bool read_claim(CborReader *r, TokenPlatform *claims, unsigned *seen)
{
    unsigned bit;
    int64_t key;
    bool ok;

    if (!cbor_read_int(r, &key)) {
        return false;
    }
    switch (key) {
    case CLAIM_CHALLENGE:
        ok = read_bytes(r, claims->challenge, sizeof(claims->challenge));
        bit = 1;
        break;
    case CLAIM_IMPLEMENTATION_ID:
        ok = read_bytes(r, claims->implementation_id,
                        sizeof(claims->implementation_id));
        bit = 2;
        break;
    case CLAIM_LIFECYCLE:
        ok = read_lifecycle(r, &claims->lifecycle);
        bit = 4;
        break;
    case CLAIM_PROFILE:
        ok = read_profile(r, &claims->is_cca);
        bit = 8;
        break;
    case CLAIM_SW_COMPONENTS:
        ok = read_components(r, claims);
        bit = 16;
        break;
    default:
        return cbor_skip(r);
    }
    ok = ok && !(*seen & bit);
    *seen |= bit;
    return ok;
}

bool token_read_platform(TokenPlatform *claims,
                         const uint8_t *payload, size_t size)
{
    CborReader r = { payload, payload + size };
    unsigned seen = 0;
    uint64_t entries;

    if (!cbor_read(&r, CBOR_MAP, &entries)) {
        return false;
    }
    for (; entries; entries--) {
        if (!read_claim(&r, claims, &seen)) {
            return false;
        }
    }
    return seen == 31 && r.at == r.end;
}
