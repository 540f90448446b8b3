# What the tools say of themselves, as files: cmake -DBIN= -DOUT= -DVERSION= -DDATE= [-DEMULATOR=] -P generate.cmake
# writes OUT/man/*.[15] and OUT/presize.spdx.json. The same tools give the same bytes.
# SPDX-License-Identifier: MIT
cmake_minimum_required(VERSION 3.25)

function(ask out tool)
  execute_process(COMMAND ${EMULATOR} ${BIN}/${tool} ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status
    ERROR_VARIABLE error)
  if(status)
    message(FATAL_ERROR "${BIN}/${tool} ${ARGN} failed (${status}): ${error}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

foreach(tool fetch prep train eval)
  ask(text ${tool} --words=man)
  file(WRITE ${OUT}/man/presize-${tool}.1 "${text}")
endforeach()
ask(text train --words=man-keys)
file(WRITE ${OUT}/man/presize-experiment.5 "${text}")
ask(text prep --words=man-keys)
file(WRITE ${OUT}/man/presize-dataset.5 "${text}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/../docs/presize.1.in ${OUT}/man/presize.1 @ONLY)

# The libraries as SPDX 2.3. A library without a licence here ends the build.
set(licences "cairo=LGPL-2.1-only OR MPL-1.1" "giflib=MIT" "glibc=LGPL-2.1-or-later" "hdf5=BSD-3-Clause"
  "jansson=MIT" "libarchive=BSD-2-Clause" "libcurl=curl" "libheif=LGPL-3.0-or-later"
  "libjpeg-turbo=IJG AND BSD-3-Clause AND Zlib" "libmicrohttpd=LGPL-2.1-or-later" "libtiff=libtiff" "libwebp=BSD-3-Clause" "libyaml=MIT"
  "onednn=Apache-2.0" "openssl=Apache-2.0" "pcre2=BSD-3-Clause" "spng=BSD-2-Clause" "utf8proc=MIT" "zlib=Zlib"
  "zstd=BSD-3-Clause OR GPL-2.0-only")
set(found "")
foreach(tool fetch prep train eval)
  ask(text ${tool} --version --verbose)
  string(REGEX MATCHALL "\n  [^ \n]+ [^\n]+" lines "${text}")
  list(APPEND found ${lines})
endforeach()
list(TRANSFORM found STRIP)
list(REMOVE_DUPLICATES found)
list(SORT found)
set(packages "")
set(relations "")
foreach(line ${found})
  string(REGEX MATCH "^([^ ]+) (.+)$" line "${line}")
  set(name ${CMAKE_MATCH_1})
  set(version ${CMAKE_MATCH_2})
  set(licence "")
  foreach(pair ${licences})
    if(pair MATCHES "^${name}=(.*)$")
      set(licence "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  if(NOT licence)
    message(FATAL_ERROR "which licence has ${name}? add it to ${CMAKE_CURRENT_LIST_FILE}")
  endif()
  string(APPEND packages ",
    {\"SPDXID\": \"SPDXRef-${name}\", \"name\": \"${name}\", \"versionInfo\": \"${version}\",
     \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false,
     \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": \"${licence}\", \"copyrightText\": \"NOASSERTION\"}")
  string(APPEND relations ",
    {\"spdxElementId\": \"SPDXRef-presize\", \"relationshipType\": \"DYNAMIC_LINK\", \"relatedSpdxElement\": \"SPDXRef-${name}\"}")
endforeach()
string(SHA256 hash "${VERSION}${packages}") # the namespace names this list and no other
file(WRITE ${OUT}/presize.spdx.json "{
  \"spdxVersion\": \"SPDX-2.3\",
  \"dataLicense\": \"CC0-1.0\",
  \"SPDXID\": \"SPDXRef-DOCUMENT\",
  \"name\": \"presize-${VERSION}\",
  \"documentNamespace\": \"urn:sha256:${hash}\",
  \"creationInfo\": {\"created\": \"${DATE}T00:00:00Z\", \"creators\": [\"Tool: presize-${VERSION}\"]},
  \"packages\": [
    {\"SPDXID\": \"SPDXRef-presize\", \"name\": \"presize\", \"versionInfo\": \"${VERSION}\",
     \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false,
     \"licenseConcluded\": \"MIT\", \"licenseDeclared\": \"MIT\", \"copyrightText\": \"the presize authors\"}${packages}
  ],
  \"relationships\": [
    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-presize\"}${relations}
  ]
}
")
