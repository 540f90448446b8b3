/* known.c - picture formats that are not decoded: by their first bytes, or by the ending of a file's name.
 *
 * Such a file is a picture that cannot be decoded, never some other file: the user is told.
 * SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "image/codec.h"

static const struct {
    const char *name;
    const char *bytes; /* that the file begins with; NULL: known by its ending alone */
    size_t n;
    const char *endings; /* ".a.b" */
} formats[] = {
    {"JPEG", NULL, 0, ".jpg.jpeg.jpe.jfif.jif"},
    {"PNG", NULL, 0, ".png.apng"},
    {"GIF", NULL, 0, ".gif"},
    {"WebP", NULL, 0, ".webp"},
    {"BMP", NULL, 0, ".bmp.dib"},
    {"PPM", NULL, 0, ".ppm.pgm.pbm.pnm"},
    {"TIFF", NULL, 0, ".tif.tiff"},
    {"HEIC", NULL, 0, ".heic.heif.hif"},
    {"AVIF", NULL, 0, ".avif.avifs"},
    {"JPEG 2000", "\0\0\0\x0cjP  \r\n\x87\n", 12, ".jp2.j2k.jpf.jpx.jpm.j2c.jpc"},
    {"JPEG 2000", "\xff\x4f\xff\x51", 4, ""},
    {"JPEG XL", "\0\0\0\x0cJXL \r\n\x87\n", 12, ".jxl"},
    {"JPEG XL", "\xff\x0a", 2, ""},
    {"JPEG XR", "II\xbc", 3, ".jxr.wdp.hdp"},
    {"PAM", "P7\n", 3, ".pam"},
    {"PFM", "PF\n", 3, ".pfm"},
    {"PFM", "Pf\n", 3, ""},
    {"Photoshop", "8BPS", 4, ".psd.psb"},
    {"GIMP", "gimp xcf", 8, ".xcf"},
    {"OpenEXR", "\x76\x2f\x31\x01", 4, ".exr"},
    {"Radiance HDR", "#?RADIANCE", 10, ".hdr.rgbe"},
    {"DDS", "DDS ", 4, ".dds"},
    {"QOI", "qoif", 4, ".qoi"},
    {"BPG", "BPG\xfb", 4, ".bpg"},
    {"FLIF", "FLIF", 4, ".flif"},
    {"MNG", "\x8aMNG", 4, ".mng"},
    {"Sun raster", "\x59\xa6\x6a\x95", 4, ".ras"},
    {"SGI", "\x01\xda", 2, ".sgi.rgb"},
    {"FITS", "SIMPLE  =", 9, ".fits.fit"},
    {"TGA", NULL, 0, ".tga"},
    {"ICO", NULL, 0, ".ico.cur.icns"},
    {"PCX", NULL, 0, ".pcx"},
    {"XBM or XPM", NULL, 0, ".xbm.xpm"},
    {"SVG", NULL, 0, ".svg.svgz"},
    {"metafile", NULL, 0, ".wmf.emf.eps"},
    {"DICOM", NULL, 0, ".dcm.dicom"},
    {"camera raw", "FUJIFILMCCD-RAW", 15,
     ".cr2.cr3.nef.arw.dng.orf.rw2.raf.pef.srw.nrw.raw.3fr.iiq.x3f.mrw.kdc.dcr.erf"},
    {"camera raw", "IIRO", 4, ""},
    {"camera raw", "IIU\0", 4, ""},
};

const char *image_known_by_bytes(const uint8_t *bytes, size_t size)
{
    if (size >= 12 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0))
        return "camera raw"; /* a TIFF that no decoder took */
    if (size >= 12 && memcmp(bytes + 4, "ftypcrx ", 8) == 0)
        return "camera raw";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].bytes && size >= formats[i].n &&
            memcmp(bytes, formats[i].bytes, formats[i].n) == 0)
            return formats[i].name;
    return NULL;
}

const char *image_known_by_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    const size_t n = dot ? strlen(dot) : 0;

    if (n < 2 || strchr(dot, '/'))
        return NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        for (const char *e = formats[i].endings; *e;) {
            const size_t length = 1 + strcspn(e + 1, ".");

            if (length == n && strncasecmp(e, dot, n) == 0)
                return formats[i].name;
            e += length;
        }
    return NULL;
}
