#!/bin/sh
# Runs a command of the service that aistemsplitter-server.service runs, as its user and with its
# settings. Install it as /usr/local/bin/aistemsplitter-server and run it as root.
exec runuser -u aistemsplitter -- /opt/aistemsplitter/bin/aistemsplitter-server \
    --env-file /etc/aistemsplitter/server.env "$@"
