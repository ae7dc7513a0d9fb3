// Package wpconfig reads a WordPress' wp-config.php, in two ways.
//
// [Parse] runs the file without PHP: a small machine follows what configurations use (conditions, includes, lists and loops over
// lists, functions of the file, some of PHP's own) and knows where it cannot follow. From there on each constant that is not
// defined yet, and each variable, is in doubt: a setting is either what PHP would have, or an error with the reason. A condition
// that the machine does not know runs both of its branches, and what differs is in doubt.
//
// [Ask] has PHP itself run the file up to the point at which WordPress begins, in a child without a network.
package wpconfig
