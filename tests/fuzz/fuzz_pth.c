/* fuzz_pth.c - the restricted reader of .pth, both forms. SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "tensorfile/torchfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size, ".pth");
    struct torchfile *f;
    struct err err = {0};

    if (torchfile_open(&f, path, &err) < 0) {
        CHECK(!f);
        CHECK_REFUSED(err);
        return 0;
    }
    for (size_t i = 0; i < torchfile_count(f); i++) {
        const struct st_tensor *t = torchfile_tensor(f, i);
        float *floats = malloc(2 * t->bytes + 1); /* of 16 bits each become 32 */
        int64_t *integers = malloc(t->bytes + 1);

        CHECK(floats && integers && t->name && t->n_dims >= 0 && t->n_dims <= 8);
        if (torchfile_read_f32(f, t, floats, &err) < 0)
            CHECK_REFUSED(err);
        if (torchfile_read_i64(f, t, integers, &err) < 0)
            CHECK_REFUSED(err);
        free(floats);
        free(integers);
    }
    torchfile_close(f);
    return 0;
}

uint8_t *fuzz_seed(int i, size_t *size)
{
    static const char *const files[] = {
        "tests/data/torch_zip.pth",        "tests/data/torch_plain.pth",
        "tests/data/torch_inner.pth",      "tests/data/torch_evil_zip.pth",
        "tests/data/torch_evil_plain.pth", "tests/data/torch_double.pth",
        "tests/data/torch_small.pth",
    };

    return i < (int)(sizeof files / sizeof *files) ? fuzz_read(files[i], size) : NULL;
}
