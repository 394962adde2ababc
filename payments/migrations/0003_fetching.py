from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0002_kept_names_of_pruned_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='FetchedUntil',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('moment', models.DateTimeField(help_text='Stripe was asked for every event that it made before (UTC).')),
            ],
        ),
        migrations.AddField(
            model_name='payment',
            name='checked_at',
            field=models.DateTimeField(blank=True, help_text='When Stripe was last asked how the session is (UTC).', null=True),
        ),
        migrations.AddField(
            model_name='refundrequest',
            name='given_up_at',
            field=models.DateTimeField(blank=True, help_text='When Stripe was found to have made no such refund (UTC).', null=True),
        ),
        migrations.AlterField(
            model_name='webhookevent',
            name='deliveries',
            field=models.PositiveIntegerField(default=1, help_text='How often it was delivered; 0: Stripe was asked for it.'),
        ),
    ]
