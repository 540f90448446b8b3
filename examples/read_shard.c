/* read_shard.c - reads presized pictures: names, labels, sizes, and the mean of their pixels.
 *
 *   read_shard FOLDER [N]     FOLDER: DATA/SET/shards-SIZE; the first N pictures (10)
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "data/shard.h"

static int show(const struct shard_set *set, uint32_t rank, struct err *err)
{
    const struct shard_picture *p = shard_set_picture(set, rank);
    const size_t size = (size_t)p->height * p->width * 3;
    uint8_t *pixels = malloc(size);
    double sum = 0;
    int rc;

    if (!pixels)
        return err_set(err, ERR_NOMEM, "%zu bytes of pixels", size);
    rc = shard_set_read(set, rank, pixels, true, err); /* true: with its CRC-32C */
    for (size_t i = 0; rc == 0 && i < size; i++)
        sum += pixels[i];
    if (rc == 0)
        printf("%s  %s  %u x %u  mean %.1f\n", p->path, shard_set_label(set, p->label), p->width,
               p->height, sum / (double)size);
    free(pixels);
    return rc;
}

int main(int argc, char **argv)
{
    const uint32_t most = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10;
    struct shard_set *set = NULL;
    struct err err;
    int rc;

    if (argc < 2) {
        fputs("usage: read_shard FOLDER [N]\n", stderr);
        return 2;
    }
    rc = shard_set_open(&set, argv[1], &err);
    for (uint32_t i = 0; rc == 0 && i < shard_set_count(set) && i < most; i++)
        rc = show(set, i, &err);
    if (rc < 0)
        fprintf(stderr, "read_shard: %s\n", err.msg);
    shard_set_close(set);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
