#!/bin/sh
# Makes sample.mp4, the clip the embedded origin serves; `make clip` calls this.
#
# What about it matters to a range proxy:
# - the index (moov) stands at the end, where ffmpeg puts it without -movflags +faststart: a player
#   must ask for the tail before it can show the first picture;
# - a keyframe every 2 s (50 pictures at 25 a second), so a seek lands near the asked second;
# - the picture shows the running second, so that a seek can be seen to have worked.
# The bitexact flags and the single thread make the same ffmpeg produce the same bytes each time.
set -eu

seconds=60
to=${1:-$(dirname "$0")/sample.mp4}

ffmpeg -nostdin -hide_banner -loglevel error -y \
    -f lavfi -i "testsrc=size=640x360:rate=25:duration=$seconds" \
    -f lavfi -i "sine=frequency=330:beep_factor=4:sample_rate=44100:duration=$seconds" \
    -map 0:v -map 1:a -map_metadata -1 \
    -c:v libx264 -preset veryslow -profile:v main -level:v 3.0 -pix_fmt yuv420p -crf 30 \
    -g 50 -keyint_min 50 -sc_threshold 0 -threads 1 \
    -c:a aac -b:a 32k -ac 1 -filter:a volume=0.5 \
    -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
    -f mp4 "$to.new"
mv "$to.new" "$to"
