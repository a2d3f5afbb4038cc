#!/bin/sh
# Builds echarts.js and its NOTICE from the versions in package-lock.json.  Needs Node 18 or newer with npm.
# The first lines of both name the version; `sources` is the SHA-256 of charts.js and package-lock.json together,
# by which a test sees that the bundle was built from what is committed.
set -eu
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund

version=$(node -p "require('./package.json').dependencies.echarts")
sources=$(cat charts.js package-lock.json | sha256sum | cut -d ' ' -f 1)

{
  echo "The charts on the pages are drawn by Apache ECharts $version, of which echarts.js is an unchanged selection."
  echo "It is under the Apache License 2.0 (LICENSE-echarts beside this file) and carries this notice:"
  echo
  cat node_modules/echarts/NOTICE
  for part in "ZRender, the drawing library of ECharts:node_modules/zrender/LICENSE" \
    "D3, of which ECharts embeds a few functions:node_modules/echarts/licenses/LICENSE-d3" \
    "tslib, the TypeScript helpers:node_modules/tslib/LICENSE.txt"; do
    printf '\n\n\n%s\n\n' "${part%%:*}"
    cat "${part#*:}"
  done
  echo
} | tr -d '\r' > NOTICE-echarts
tr -d '\r' < node_modules/echarts/LICENSE > LICENSE-echarts

{
  printf '/*! Apache ECharts %s, Apache-2.0; sources %s\n\n' "$version" "$sources"
  cat NOTICE-echarts
  echo '*/'
} > banner.tmp
node_modules/.bin/esbuild charts.js --bundle --minify --format=iife --global-name=echarts --target=es2020 \
  --legal-comments=inline --charset=ascii --log-level=warning --outfile=bundle.tmp.js
cat banner.tmp bundle.tmp.js > echarts.js
rm banner.tmp bundle.tmp.js
ls -l echarts.js
