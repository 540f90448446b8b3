/* imagenet.h - what torchvision's weights were trained with: the classes of ImageNet's challenge, and by channel the
 * mean and standard deviation of its pictures, whose values are 0 to 1. Read by C17 and CUDA C++.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_ARCH_IMAGENET_H
#define PRESIZE_ARCH_IMAGENET_H

#define IMAGENET_CLASSES 1000
#define IMAGENET_MEAN_R 0.485
#define IMAGENET_MEAN_G 0.456
#define IMAGENET_MEAN_B 0.406
#define IMAGENET_STD_R 0.229
#define IMAGENET_STD_G 0.224
#define IMAGENET_STD_B 0.225

#endif
