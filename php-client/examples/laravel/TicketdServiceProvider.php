<?php
/**
 * The client in Laravel's container.
 *
 * @package Ticketd
 */

namespace App\Providers;

use Illuminate\Contracts\Foundation\Application;
use Illuminate\Support\ServiceProvider;
use Psr\Log\LoggerInterface;
use Ticketd\Client\ClientFactory;
use Ticketd\Client\ClientInterface;

/**
 * Gives a client of config/ticketd.php to whatever asks for ClientInterface, one for each request or job.
 */
final class TicketdServiceProvider extends ServiceProvider {

	/**
	 * Binds the client.
	 */
	public function register(): void {
		$this->app->scoped(
			ClientInterface::class,
			static fn( Application $app ): ClientInterface => ClientFactory::create(
				$app->make( 'config' )->get( 'ticketd' ) + array( 'logger' => $app->make( LoggerInterface::class ) )
			)
		);
	}
}
