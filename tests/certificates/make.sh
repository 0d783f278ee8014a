#!/usr/bin/env bash
# Makes the certificates of the TLS tests anew. Needs openssl 3; run it in this directory.
# The keys protect nothing: every server and client here is on 127.0.0.1 for the time of a test.
set -euo pipefail

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

authority() { # NAME
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=test $1" -days 36500 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$1.pem"
}

leaf() { # NAME USAGE SUBJECT-ALTERNATIVE-NAMES LAST-YEAR
  key "$1"
  openssl req -new -key "$1.key" -subj "/CN=test $1" -out "$1.csr"
  printf '%s\n' basicConstraints=critical,CA:FALSE "extendedKeyUsage=$2" ${3:+"subjectAltName=$3"} >extensions
  : >index
  openssl ca -batch -notext -config <(printf '%s\n' '[ca]' default_ca=it '[it]' database=index rand_serial=yes \
    new_certs_dir=. default_md=sha256 policy=any '[any]' commonName=supplied) -cert ca.pem -keyfile ca.key \
    -startdate 20200101000000Z -enddate "${4}0101000000Z" -extfile extensions -in "$1.csr" -out "$1.pem"
  rm -f -- "$1.csr" extensions index* [0-9A-F]*.pem
}

authority ca
authority other-ca
leaf server serverAuth DNS:localhost,DNS:broker.internal,IP:127.0.0.1 2120
leaf elsewhere serverAuth DNS:elsewhere.example 2120
leaf expired serverAuth DNS:localhost,IP:127.0.0.1 2021
leaf client clientAuth "" 2120
rm ca.key other-ca.key
