/* fuzz_safetensors.c - the reader of safetensors. SPDX-License-Identifier: MIT */
#include <string.h>

#include "fuzz.h"
#include "tensorfile/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size, ".safetensors");
    struct safetensors *s;
    struct err err = {0};

    if (safetensors_open(&s, path, &err) < 0) {
        CHECK(!s);
        CHECK_REFUSED(err);
        return 0;
    }
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct st_tensor *t = safetensors_tensor(s, i);
        float *floats = malloc(2 * t->bytes + 1);
        int64_t *integers = malloc(t->bytes + 1);

        CHECK(floats && integers && safetensors_find(s, t->name));
        CHECK(t->offset <= size && t->bytes <= size - t->offset);
        if (safetensors_read_f32(s, t, floats, &err) < 0)
            CHECK_REFUSED(err);
        if (safetensors_read_i64(s, t, integers, &err) < 0)
            CHECK_REFUSED(err);
        free(floats);
        free(integers);
    }
    safetensors_metadata(s, "format");
    safetensors_close(s);
    return 0;
}

static const char *const headers[] = {
    "{}",
    "{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
    "{\"__metadata__\":{\"format\":\"pt\"},\"conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],"
    "\"data_offsets\":[0,24]},\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]}}",
    "{\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"BF16\","
    "\"shape\":[2,2],\"data_offsets\":[8,16]},\"e\":{\"dtype\":\"U8\",\"shape\":[0,5],"
    "\"data_offsets\":[16,16]},\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[16,32]}}",
};

/* A header, its length before it, and 32 bytes of data where it has tensors with any. */
uint8_t *fuzz_seed(int i, size_t *size)
{
    uint64_t length;
    uint8_t *bytes;

    if (i >= (int)(sizeof headers / sizeof *headers))
        return NULL;
    length = strlen(headers[i]);
    *size = 8 + length + (i > 1 ? 32 : 0);
    bytes = malloc(*size);
    CHECK(bytes);
    memset(bytes, 0x3c, *size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, headers[i], length);
    return bytes;
}
