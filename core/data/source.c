/* source.c - the sources, with the sizes and hashes that others published.
 *
 * Oxford's two archives: SHA-256 from TensorFlow Datasets' checksums.tsv (oxford_iiit_pet). fastai's
 * one: size and MD5 of the first MiB from fastai's download_checks.py; nobody published more.
 * SPDX-License-Identifier: MIT */
#include "data/source.h"

#include <string.h>

#include "base/key.h"

#define PETS_PAGE "https://www.robots.ox.ac.uk/~vgg/data/pets/"
#define OXFORD PETS_PAGE "data/"
#define PETS_LICENCE "CC BY-SA 4.0"

size_t source_archives(const struct source *s)
{
    size_t n = 0;

    while (n < SOURCE_ARCHIVES_MAX && s->archives[n].file)
        n++;
    return n;
}

const struct source *source_find(const char *name)
{
    for (size_t i = 0; i < n_sources; i++)
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    return NULL;
}

const char *source_near(const char *name)
{
    const char *names[16];
    size_t n = 0;

    for (; n < n_sources && n < sizeof names / sizeof names[0]; n++)
        names[n] = sources[n].name;
    return nearest_name(name, names, n);
}

const char *source_url(const struct source *s, const char *file, const char *sha256)
{
    for (size_t i = 0; i < source_archives(s); i++) {
        const struct source_archive *a = &s->archives[i];

        if (strcmp(a->file, file) == 0 && (!a->sha256 || strcmp(a->sha256, sha256) == 0))
            return a->url;
    }
    return NULL;
}

const char *source_hash_text(const struct source_archive *a)
{
    if (a->sha256)
        return a->sha256;
    return a->md5_first_mib ? "size and MD5 of the first MiB only" : "its own, recorded";
}

const struct source sources[] = {
    {
        .name = "pets",
        .top = TOP_KEEP, /* images.tar.gz has the one top folder images/, which must stay */
        .title = "Oxford-IIIT Pet, 37 breeds, 7,390 pictures, the authors' archives",
        .licence = PETS_LICENCE,
        .page = PETS_PAGE,
        .archives = {{.file = "images.tar.gz",
                      .url = OXFORD "images.tar.gz",
                      .size = 791918971,
                      .sha256 = "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"},
                     {.file = "annotations.tar.gz",
                      .url = OXFORD "annotations.tar.gz",
                      .size = 19173078,
                      .sha256 =
                          "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"}},
    },
    {
        .name = "pets-fastai",
        .top = TOP_STRIP,
        .title = "the same pictures as fastai packs them, one archive",
        .licence = PETS_LICENCE,
        .page = PETS_PAGE,
        .archives = {{.file = "oxford-iiit-pet.tgz",
                      .url = "https://s3.amazonaws.com/fast-ai-imageclas/oxford-iiit-pet.tgz",
                      .size = 811706944,
                      .md5_first_mib = "e4db5c768afd933bb91f5f594d7417a4"}},
    },
    {
        .name = "pets-mini",
        .top = TOP_STRIP,
        .title = "695 pictures of Oxford-IIIT Pet, for tests; only with --from FILE",
        .licence = PETS_LICENCE,
        .page = PETS_PAGE,
        .how =
            "pets-mini is published nowhere: it is a cut of Oxford-IIIT Pet that is passed on as "
            "oxford-iiit-pet-mini.tgz. If you have that file: "
            "`fetch pets-mini --from oxford-iiit-pet-mini.tgz`. Otherwise `fetch pets` gets the "
            "whole set (811 MB), and `fetch demo` needs no download",
    },
    {
        .name = "demo",
        .top = TOP_KEEP,
        .title = "8 kinds of drawn animals' coats, 800 pictures, made on the spot",
        .licence = "CC0",
        .archives = {{.file = "demo.tar"}},
        .made = true,
    },
};
const size_t n_sources = sizeof sources / sizeof sources[0];
