<?php
// The smallest PHP server that shows what a process manager is for: the router
// script of PHP's built-in server, which calls it for each request.
//
//   php -S 0.0.0.0:3000 server.php                         one process
//   pace start "php -S 0.0.0.0:3000 server.php" -i 4       four, all on the same port
//   sh start.sh                                            the port from $PORT
//
// Nothing in it knows about Paceline, about clusters or about signals.

// busy keeps the process computing: the built-in server answers one request at a
// time, so until this returns it can do nothing else at all.
function busy(int $ms): void
{
    $end = microtime(true) + $ms / 1000;
    while (microtime(true) < $end);
}

header('Content-Type: text/plain');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

if ($path === '/') {
    echo 'process ', getmypid(), "\n";
} elseif ($path === '/timer') {
    $ms = (int) ($_GET['ms'] ?? 9000);
    set_time_limit(0);
    busy($ms);
    echo 'process ', getmypid(), " was busy for $ms ms\n";
} else {
    http_response_code(404);
    echo "not found; try / or /timer?ms=9000\n";
}
