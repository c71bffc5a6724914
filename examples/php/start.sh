#!/bin/sh
# PHP's server takes its port from the command line alone. With exec no shell stays
# between pace and PHP, so that signals reach it.
cd "$(dirname "$0")" && exec php -S "0.0.0.0:${PORT:-3000}" server.php
